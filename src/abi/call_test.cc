#include "abi/call.h"

#include <gtest/gtest.h>

namespace caisson::abi {
namespace {

struct Grown {
  caisson_exit known;
  std::uint64_t more;
};

TEST(Structures, WhatAnOlderCallerLacksKeepsItsDefault) {
  caisson_process older = {offsetof(caisson_process, pidfd), 7, 99};
  auto read = read_structure(&older, caisson_process CAISSON_PROCESS_INIT);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->pid, 7);
  EXPECT_EQ(read->pidfd, -1);
}

TEST(Structures, WhatANewerCallerSaysIsRefusedUnlessItIsNothing) {
  Grown grown{CAISSON_EXIT_INIT, 0};
  grown.known.size = sizeof grown;
  EXPECT_TRUE(read_structure(&grown.known, caisson_exit CAISSON_EXIT_INIT));
  grown.more = 1;
  auto read = read_structure(&grown.known, caisson_exit CAISSON_EXIT_INIT);
  ASSERT_FALSE(read);
  EXPECT_TRUE(read.error().is(E2BIG));
}

TEST(Structures, ASizeOfNothingIsRefused) {
  caisson_exit exit{};
  EXPECT_FALSE(read_structure(&exit, caisson_exit CAISSON_EXIT_INIT));
  EXPECT_FALSE(write_structure(&exit, caisson_exit CAISSON_EXIT_INIT));
}

TEST(Structures, AnOlderCallerGetsAsMuchAsHeHasRoomFor) {
  caisson_exit exit = {offsetof(caisson_exit, signal), 0, 0, 55, 0, 0};
  caisson_exit value = {sizeof(caisson_exit), 1, 2, 3, 1, 4};
  ASSERT_TRUE(write_structure(&exit, value));
  EXPECT_EQ(exit.size, offsetof(caisson_exit, signal));
  EXPECT_EQ(exit.code, 2);
  EXPECT_EQ(exit.signal, 55);
}

TEST(Errors, HaveAllTheirPartsAndTheErrnoThatWasReturned) {
  caisson_error* error = nullptr;
  int value = finish(std::unexpected(Error::with_cause(ENOENT, "not there")
                                         .doing("open x")
                                         .where("root.path")
                                         .step("root")
                                         .code("x.y")
                                         .cure("make it")),
                     &error);
  EXPECT_EQ(value, ENOENT);
  EXPECT_EQ(caisson_error_errno(error), ENOENT);
  EXPECT_STREQ(caisson_error_cause(error), "not there");
  EXPECT_STREQ(caisson_error_object(error), "open x");
  EXPECT_STREQ(caisson_error_where(error), "root.path");
  EXPECT_STREQ(caisson_error_step(error), "root");
  EXPECT_STREQ(caisson_error_code(error), "x.y");
  EXPECT_STREQ(caisson_error_cure(error), "make it");
  EXPECT_STREQ(caisson_error_message(error), "root: open x: root.path: not there");
  caisson_error_free(error);
  EXPECT_EQ(finish({}, &error), 0);
  EXPECT_EQ(error, nullptr);
  caisson_error_free(nullptr);
}

}  // namespace
}  // namespace caisson::abi
