#include "sandbox/boot/saved_machine.h"

#include <elf.h>
#include <sys/auxv.h>

#include <cerrno>

#include "sandbox/platform/extended_state.h"

namespace caisson::sandbox::boot {
namespace {

// Of our own vDSO, which is that of every stub: FNV-1a over the whole image, whose section headers
// are its end.
std::uint64_t sum_of_vdso() {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): that is what getauxval(3) tells
  const auto* image = reinterpret_cast<const unsigned char*>(::getauxval(AT_SYSINFO_EHDR));
  if (image == nullptr) return 0;
  const auto* header = reinterpret_cast<const Elf64_Ehdr*>(image);
  std::uint64_t size = header->e_shoff + std::uint64_t{header->e_shentsize} * header->e_shnum;
  std::uint64_t sum = 14695981039346656037ULL;
  for (std::uint64_t at = 0; at < size; ++at) sum = (sum ^ image[at]) * 1099511628211ULL;
  return sum;
}

Error other(std::string what) {
  return Error::with_cause(ENOTSUP, std::move(what))
      .cure("restore on a machine with the same kernel and processor as that of the checkpoint")
      .code("restore.machine");
}

}  // namespace

SavedMachine machine_of(const platform::Platform& platform) {
  return {platform.vdso_address(), sum_of_vdso(), platform::host_extended_layout().features};
}

Result<> check_machine(const SavedMachine& saved, const SavedMachine& here) {
  if (saved.vdso_address != here.vdso_address || saved.vdso_sum != here.vdso_sum)
    return std::unexpected(other("this kernel has another vDSO than that of the checkpoint"));
  if (saved.processor_state != here.processor_state)
    return std::unexpected(other("this processor has other registers than that of the checkpoint"));
  return {};
}

}  // namespace caisson::sandbox::boot
