#include "sandbox/state/envelope.h"

#include <cstdint>
#include <cstring>

#include "base/text.h"
#include "sandbox/state/reader.h"

namespace caisson::sandbox::state {
namespace {

struct Header {
  char magic[8] = {'c', 'a', 'i', 's', 's', 'o', 'n', 's'};
  std::uint32_t version = kVersion;
  std::uint32_t reserved = 0;
  std::uint64_t length = 0;
  std::uint64_t sum = 0;  // of the stream, begun with the clocks
  Clocks clocks;
};

// Against accidents, not against forgers: those are the Reader's to withstand.
std::uint64_t sum_of(std::string_view bytes, const Clocks& clocks) {
  std::uint64_t sum = 14695981039346656037ULL;  // FNV-1a, by words
  sum = (sum ^ static_cast<std::uint64_t>(clocks.monotonic_ns)) * 1099511628211ULL;
  sum = (sum ^ static_cast<std::uint64_t>(clocks.boottime_ns)) * 1099511628211ULL;
  while (bytes.size() >= sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    sum = (sum ^ word) * 1099511628211ULL;
    sum ^= sum >> 29;
    bytes.remove_prefix(sizeof word);
  }
  for (char byte : bytes) sum = (sum ^ static_cast<unsigned char>(byte)) * 1099511628211ULL;
  return sum;
}

}  // namespace

std::string seal(std::string_view stream, const Clocks& clocks) {
  Header header;
  header.length = stream.size();
  header.sum = sum_of(stream, clocks);
  header.clocks = clocks;
  std::string file(reinterpret_cast<const char*>(&header), sizeof header);
  file += stream;
  return file;
}

namespace {

Result<Header> header_of(std::string_view file) {
  Header header, expected;
  if (file.size() < sizeof header) return std::unexpected(Reader::damaged("it ends too early"));
  std::memcpy(&header, file.data(), sizeof header);
  if (std::memcmp(header.magic, expected.magic, sizeof header.magic) != 0)
    return std::unexpected(Reader::damaged("it is no saved sandbox"));
  if (header.version == kVersion) return header;
  return std::unexpected(
      Error::invalid(cat("it is of version ", header.version, ", this is ", kVersion))
          .cure("restore it with the caisson that saved it")
          .code("restore.version"));
}

}  // namespace

Result<Clocks> clocks_of(std::string_view file) { return TRY(header_of(file)).clocks; }

Result<std::string_view> unseal(std::string_view file) {
  Header header = TRY(header_of(file));
  std::string_view stream = file.substr(sizeof header);
  if (header.length != stream.size())
    return std::unexpected(Reader::damaged("its length is not what it says"));
  if (header.sum != sum_of(stream, header.clocks))
    return std::unexpected(Reader::damaged("its sum is not what it says"));
  return stream;
}

}  // namespace caisson::sandbox::state
