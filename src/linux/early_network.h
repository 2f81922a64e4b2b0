// A network namespace that is made while its container is still being planned.
//
// Making one takes the kernel about as long as all the rest of a start, and needs to know nothing
// of the plan: a process beside us does it.
#pragma once

#include <cstdint>

#include "base/fd.h"

namespace caisson::linux {

class EarlyNetwork {
 public:
  // Begins. Never fails: where it can't be done, take() has nothing to give.
  EarlyNetwork();
  ~EarlyNetwork();
  EarlyNetwork(const EarlyNetwork&) = delete;
  EarlyNetwork& operator=(const EarlyNetwork&) = delete;

  // Waits for the namespace, a new one of our user namespace with its loopback device up. Invalid
  // when it could not be made; what is in the way is found again by whoever makes one then. Once.
  Fd take();

 private:
  struct Shared;
  static void make(void* argument);
  bool ended(int flags);

  Shared* shared_ = nullptr;
  int pid_ = 0;
};

}  // namespace caisson::linux
