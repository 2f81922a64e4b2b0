#include "container/log.h"

#include "base/clock.h"
#include "base/text.h"
#include "sys/file.h"

namespace caisson::container {

std::optional<LogLine> parse_log_line(std::string_view line) {
  LogLine out;
  auto [time, after_time] = split_once(line, ' ');
  auto [stream, after_stream] = split_once(after_time, ' ');
  auto [tag, text] = split_once(after_stream, ' ');
  bool good = time.ends_with('Z') && (stream == "stdout" || stream == "stderr") &&
              (tag == "F" || tag == "P");
  if (!good) return std::nullopt;
  out.time = time;
  out.stream = stream;
  out.partial = tag == "P";
  out.text = text;
  return out;
}

Result<LogWriter> LogWriter::open(FdRef dir, std::uint64_t limit) {
  LogWriter writer(TRY_CTX(sys::dup_cloexec(dir), "duplicate a descriptor"), limit);
  TRY_CTX(writer.open_file(), "open the log");
  return writer;
}

ErrnoOr<> LogWriter::open_file() {
  file_ = TRY(sys::openat(dir_, kLogFile, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600));
  size_ = static_cast<std::uint64_t>(TRY(sys::fstat(file_)).st_size);
  return {};
}

void LogWriter::rotate() {
  auto renamed = sys::renameat(dir_, kLogFile, dir_, kOldLogFile);
  if (renamed) (void)open_file();
}

void LogWriter::write(std::string_view stream, std::string_view bytes) {
  std::string time = rfc3339(realtime_ns());
  std::string out;
  while (!bytes.empty()) {
    auto end = bytes.find('\n');
    bool whole = end != bytes.npos && end <= kLogPartLimit;
    auto text = bytes.substr(0, whole ? end : kLogPartLimit);
    append(out, time, ' ', stream, whole ? " F " : " P ", text, '\n');
    bytes.remove_prefix(text.size() + (whole ? 1 : 0));
  }
  if (limit_ != 0 && size_ != 0 && size_ + out.size() > limit_) rotate();
  // A full disk costs lines, never the container.
  if (sys::write(file_, out.data(), out.size())) size_ += out.size();
}

}  // namespace caisson::container
