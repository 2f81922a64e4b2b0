// The host's side of a sandbox's checkpoint: the directory of the images, and what a restore begins
// with. What is in them is the kernel's to write and to read (image.h).
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "plan/executor.h"

namespace caisson::sandbox::boot {

// As plan::Executor::checkpoint().
Result<> checkpoint_sandbox(const plan::CheckpointRequest& request);

struct OpenedImage {
  Fd state, memory;
};
Result<OpenedImage> open_image(const plan::CriuOptions& options);

// Returns when all is restored and goes on; the reason why it is not.
Result<> wait_until_restored(const std::string& control_socket);

// Lets the clocks of the jail go on from where those of the image stood.
Result<> continue_clocks(const OpenedImage& image, plan::Plan& jail);

}  // namespace caisson::sandbox::boot
