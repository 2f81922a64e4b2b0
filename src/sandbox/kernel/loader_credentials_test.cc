#include "sandbox/kernel/loader_credentials.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/stat.h>

#include <cstring>

#include <gtest/gtest.h>

namespace caisson::sandbox::kernel {
namespace {

constexpr vfs::CapabilitySet bit(int capability) { return vfs::CapabilitySet{1} << capability; }

Ref<vfs::Credentials> user() {
  auto user = make_ref<vfs::Credentials>();
  user->uid = user->euid = user->suid = user->fsuid = 1000;
  user->gid = user->egid = user->sgid = user->fsgid = 1000;
  user->bounding = vfs::kAllCapabilities;
  return user;
}
ExecutedFile plain() { return {S_IFREG | 0755, 0, 0, {}}; }
ExecCredentials after(const Ref<vfs::Credentials>& before, const ExecutedFile& file) {
  return MUST(credentials_after_exec(*before, file));
}

TEST(ExecCredentials, PlainProgramsChangeNothingForUsers) {
  ExecCredentials result = after(user(), plain());
  EXPECT_EQ(result.credentials->euid, 1000U);
  EXPECT_EQ(result.credentials->permitted, 0U);
  EXPECT_FALSE(result.secure);
}

TEST(ExecCredentials, RootKeepsWhatItsBoundsAllow) {
  auto root = vfs::Credentials::root();
  root->bounding = bit(CAP_CHOWN);
  root->permitted = root->effective = bit(CAP_CHOWN);
  ExecCredentials result = after(root, plain());
  EXPECT_EQ(result.credentials->permitted, bit(CAP_CHOWN));
  EXPECT_EQ(result.credentials->effective, bit(CAP_CHOWN));
  EXPECT_FALSE(result.secure);
}

TEST(ExecCredentials, RootThatDroppedAllGetsItBack) {
  auto root = vfs::Credentials::root();
  root->permitted = root->effective = 0;
  EXPECT_EQ(after(root, plain()).credentials->permitted, vfs::kAllCapabilities);
}

TEST(ExecCredentials, UsersLoseTheirCapabilities) {
  auto before = user();
  before->permitted = before->effective = before->inheritable = bit(CAP_CHOWN);
  ExecCredentials result = after(before, plain());
  EXPECT_EQ(result.credentials->permitted, 0U);
  EXPECT_EQ(result.credentials->inheritable, bit(CAP_CHOWN));
}

TEST(ExecCredentials, AmbientCapabilitiesStay) {
  auto before = user();
  before->permitted = before->inheritable = before->ambient = bit(CAP_NET_BIND_SERVICE);
  ExecCredentials result = after(before, plain());
  EXPECT_EQ(result.credentials->permitted, bit(CAP_NET_BIND_SERVICE));
  EXPECT_EQ(result.credentials->effective, bit(CAP_NET_BIND_SERVICE));
  EXPECT_FALSE(result.secure);
}

TEST(ExecCredentials, SetUserIdMakesRoot) {
  ExecutedFile file = plain();
  file.mode |= S_ISUID;
  auto before = user();
  before->ambient = bit(CAP_CHOWN);
  ExecCredentials result = after(before, file);
  EXPECT_EQ(result.credentials->euid, 0U);
  EXPECT_EQ(result.credentials->suid, 0U);
  EXPECT_EQ(result.credentials->fsuid, 0U);
  EXPECT_EQ(result.credentials->uid, 1000U);
  EXPECT_EQ(result.credentials->effective, vfs::kAllCapabilities);
  EXPECT_EQ(result.credentials->ambient, 0U);
  EXPECT_TRUE(result.secure);
  EXPECT_TRUE(result.has_set_id);
}

TEST(ExecCredentials, SetGroupIdNeedsTheGroupsExecuteBit) {
  ExecutedFile file = plain();
  file.gid = 5;
  file.mode = S_IFREG | 02755;
  EXPECT_EQ(after(user(), file).credentials->egid, 5U);
  EXPECT_TRUE(after(user(), file).secure);
  file.mode = S_IFREG | 02745;
  EXPECT_EQ(after(user(), file).credentials->egid, 1000U);
}

TEST(ExecCredentials, NoNewPrivilegesMeansNone) {
  auto before = user();
  before->no_new_privileges = true;
  ExecutedFile file = plain();
  file.mode |= S_ISUID;
  ExecCredentials result = after(before, file);
  EXPECT_EQ(result.credentials->euid, 1000U);
  EXPECT_FALSE(result.secure);
  file = plain();
  file.capabilities = FileCapabilities{bit(CAP_CHOWN), 0, false};
  EXPECT_EQ(after(before, file).credentials->permitted, 0U);
}

TEST(ExecCredentials, FilesGiveCapabilities) {
  ExecutedFile file = plain();
  file.capabilities = FileCapabilities{bit(CAP_NET_RAW), 0, true};
  ExecCredentials result = after(user(), file);
  EXPECT_EQ(result.credentials->effective, bit(CAP_NET_RAW));
  EXPECT_TRUE(result.secure);
}

TEST(ExecCredentials, FilesPassOnWhatIsInheritable) {
  ExecutedFile file = plain();
  file.capabilities = FileCapabilities{0, bit(CAP_CHOWN) | bit(CAP_KILL), false};
  auto before = user();
  before->inheritable = bit(CAP_KILL);
  EXPECT_EQ(after(before, file).credentials->permitted, bit(CAP_KILL));
  EXPECT_EQ(after(before, file).credentials->effective, 0U);
}

TEST(ExecCredentials, ProgramThatCannotHaveItsCapabilitiesDoesNotRun) {
  ExecutedFile file = plain();
  file.capabilities = FileCapabilities{bit(CAP_NET_RAW), 0, true};
  auto before = user();
  before->bounding = 0;
  auto result = credentials_after_exec(*before, file);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().value, EPERM);
}

TEST(ExecCredentials, RootIsNothingSpecialWithNoroot) {
  auto root = vfs::Credentials::root();
  root->securebits = SECBIT_NOROOT;
  EXPECT_EQ(after(root, plain()).credentials->permitted, 0U);
}

TEST(ExecCredentials, KeepCapsIsForgotten) {
  auto before = user();
  before->securebits = SECBIT_KEEP_CAPS;
  before->keep_capabilities = true;
  EXPECT_EQ(after(before, plain()).credentials->securebits, 0U);
  EXPECT_FALSE(after(before, plain()).credentials->keep_capabilities);
}

TEST(FileCapabilities, AreReadInTheirThreeForms) {
  auto value = [](std::uint32_t magic, std::size_t words) {
    std::uint32_t raw[6] = {magic, 1, 2, 0, 0, 0};
    return parse_file_capabilities({reinterpret_cast<const char*>(raw), words * 4});
  };
  EXPECT_EQ(MUST(value(VFS_CAP_REVISION_1, 3)).permitted, 1U);
  EXPECT_EQ(MUST(value(VFS_CAP_REVISION_2, 5)).inheritable, 2U);
  EXPECT_TRUE(MUST(value(VFS_CAP_REVISION_3 | VFS_CAP_FLAGS_EFFECTIVE, 6)).effective);
  EXPECT_FALSE(value(VFS_CAP_REVISION_2, 3));
  EXPECT_FALSE(value(0x7000000, 5));
  EXPECT_FALSE(parse_file_capabilities(""));
  EXPECT_FALSE(parse_file_capabilities(std::string_view("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")));
}

}  // namespace
}  // namespace caisson::sandbox::kernel
