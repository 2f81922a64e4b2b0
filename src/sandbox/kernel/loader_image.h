// Putting an ELF image into an address space (loader.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "sandbox/kernel/elf.h"
#include "sandbox/mm/memory_map.h"
#include "sandbox/vfs/file.h"

namespace caisson::sandbox::kernel {

// Reads up to `to`'s end or the file's.
ErrnoOr<std::size_t> read_program(vfs::File& file, std::uint64_t offset, std::span<std::byte> to,
                                  vfs::Caller& caller);

// The image that `file` holds; `start`: a copy of its first bytes.
ErrnoOr<ElfImage> read_image(vfs::File& file, std::span<const std::byte> start,
                             vfs::Caller& caller);

// Where an image stands.
struct PlacedImage {
  std::uint64_t bias = 0;  // what its own addresses are moved by
  std::uint64_t entry = 0, headers = 0;
  std::uint64_t code_begin = 0, code_end = 0, data_begin = 0, data_end = 0, memory_end = 0;
};

// Maps all segments, moved by `bias`.
ErrnoOr<PlacedImage> place_image(mm::MemoryMap& memory, const ElfImage& image,
                                 const Ref<vfs::File>& file, std::uint64_t bias,
                                 const mm::MemoryLimits& limits);

}  // namespace caisson::sandbox::kernel
