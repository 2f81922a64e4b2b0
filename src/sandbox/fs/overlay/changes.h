// What an overlay changed, told from its upper layer.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "sandbox/fs/overlay/filesystem.h"

namespace caisson::sandbox::fs {

enum class OverlayChange : std::uint8_t { kAdded, kChanged, kDeleted };

// `path` is relative to the root of the overlay: "a/b".
using OverlayChangeSink = std::function<void(OverlayChange, std::string path)>;

// Directories come before what is in them. Guests may go on writing meanwhile.
ErrnoOr<> list_changes(OverlayFilesystem& overlay, const OverlayChangeSink& sink);

}  // namespace caisson::sandbox::fs
