// A network namespace that is made while its container is still being planned.
//
// Making one takes the kernel about as long as all the rest of a start, and needs to know nothing
// of the plan: a process beside us does it.
#pragma once

#include <cstdint>
#include <string>

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
  // when it could not be made, or not in a second; what is in the way is found again by whoever
  // makes one then. Called once, by a process that shares our memory.
  Fd take();

 private:
  struct Shared;
  static void make(void* argument);
  Shared* shared_ = nullptr;
  int pid_ = 0;
  std::string path_;  // of the namespace
};

}  // namespace caisson::linux
