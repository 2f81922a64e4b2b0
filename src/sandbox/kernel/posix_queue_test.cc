#include "sandbox/kernel/posix_queue.h"

#include <cerrno>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "sandbox/kernel/fake_platform.h"

namespace caisson::sandbox::kernel {
namespace {

class PosixQueues : public testing::Test {
 protected:
  Ref<PosixQueue> make(PosixQueue::Shape shape, std::uint64_t limit = 819200) {
    auto made = PosixQueue::create(kernel_, *owner_, 0600, shape, limit);
    error_ = made ? 0 : made.error().value;
    return made ? *made : Ref<PosixQueue>();
  }
  Ref<vfs::Credentials> owner_ = vfs::Credentials::root()->copy();
  Kernel kernel_{std::make_unique<FakePlatform>(), nullptr};
  int error_ = 0;
};

TEST_F(PosixQueues, AUserHasOnlySoManyBytes) {
  PosixQueue::Shape shape{10, 1000};
  Ref<PosixQueue> first = make(shape, 12000);
  ASSERT_TRUE(first);
  EXPECT_FALSE(make(shape, 12000));
  EXPECT_EQ(error_, EMFILE);
  first = nullptr;
  EXPECT_TRUE(make(shape, 12000));
}

TEST_F(PosixQueues, PermissionIsThatOfTheClass) {
  Ref<PosixQueue> queue = make({});
  auto other = make_ref<vfs::Credentials>();
  other->uid = other->fsuid = 1000;
  EXPECT_EQ(queue->check(*other, 4).error().value, EACCES);
  EXPECT_TRUE(queue->check(*owner_, 6).has_value());
}

TEST_F(PosixQueues, AnEmptyOneGivesNothing) {
  Ref<PosixQueue> queue = make({});
  EXPECT_EQ(queue->take().error().value, EAGAIN);
  EXPECT_EQ(queue->count(), 0U);
}

}  // namespace
}  // namespace caisson::sandbox::kernel
