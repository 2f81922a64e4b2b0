#include "sandbox/fs/proc/proc.h"

#include <sys/resource.h>

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "sandbox/fs/eventfd/eventfd.h"
#include "sandbox/fs/kernel_fixture_test.h"
#include "sandbox/fs/pipe/pipe_file.h"
#include "sys/file.h"

namespace caisson::sandbox::fs {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class Proc : public KernelFixture {
 protected:
  Proc() {
    proc_ = ProcFilesystem::create(*kernel_, pids_, facts_);
    task_ = start(proc_);
  }
  std::string read(std::string_view path) { return KernelFixture::read(*task_, path); }
  int write(std::string_view path, std::string_view text) {
    return KernelFixture::write(*task_, path, text);
  }
  std::string link(std::string_view path) { return KernelFixture::link(*task_, path); }
  std::vector<std::string> names(std::string_view path) {
    return KernelFixture::names(*task_, path);
  }
  static std::string host(const char* path) { return MUST(sys::read_file(sys::kCwd, path)); }
  // "Name:" at the beginnings of lines.
  static std::vector<std::string> keys(std::string_view text) {
    std::vector<std::string> found;
    for (std::string_view line : split(text, '\n'))
      if (line.find(':') != std::string_view::npos)
        found.emplace_back(trim(line.substr(0, line.find(':'))));
    return found;
  }

  Ref<ProcFilesystem> proc_;
  Ref<kernel::Task> task_;
};

TEST_F(Proc, SelfIsTheReadersProcess) {
  EXPECT_EQ(link("/self"), "1");
  EXPECT_EQ(link("/thread-self"), "1/task/1");
  EXPECT_EQ(KernelFixture::link(*start(proc_), "/self"), "2");
}

TEST_F(Proc, ListsProcessesBesideItsFiles) {
  start(proc_);
  auto found = names("/");
  for (const char* name : {".", "..", "1", "2", "self", "meminfo", "sys", "mounts"})
    EXPECT_THAT(found, Contains(name));
  EXPECT_THAT(found, Not(Contains("3")));
}

TEST_F(Proc, UnknownIdsAndNamesAreAbsent) {
  EXPECT_EQ(read("/99/stat"), "E2");
  EXPECT_EQ(read("/01/stat"), "E2");
  EXPECT_EQ(read("/1/nothing"), "E2");
  EXPECT_EQ(read("/nothing"), "E2");
}

TEST_F(Proc, StatHasAsManyFieldsAsLinux) {
  std::string text = read("/self/stat");
  EXPECT_THAT(text, StartsWith("1 (program) R 0 "));
  EXPECT_EQ(split(text, ' ').size(), split(host("/proc/self/stat"), ' ').size());
}

TEST_F(Proc, StatmHasSevenFields) { EXPECT_EQ(split(read("/1/statm"), ' ').size(), 7U); }

TEST_F(Proc, StatusHasTheLinesThatProgramsRead) {
  std::string text = read("/1/status");
  auto theirs = keys(host("/proc/self/status"));
  for (const std::string& key : keys(text)) EXPECT_THAT(theirs, Contains(key));
  for (const char* line :
       {"Name:\tprogram\n", "Umask:\t0022\n", "State:\tR (running)\n", "Tgid:\t1\n",
        "Uid:\t0\t0\t0\t0\n", "Threads:\t1\n", "Cpus_allowed_list:\t0-1\n",
        "CapEff:\t000001ffffffffff\n", "NSpid:\t1\n"})
    EXPECT_THAT(text, HasSubstr(line));
}

TEST_F(Proc, LimitsLookAsLinuxShowsThem) {
  for (int i = 0; i < kernel::kLimitCount; ++i) {
    struct rlimit limit{};
    ASSERT_EQ(::getrlimit(static_cast<__rlimit_resource>(i), &limit), 0);
    task_->group().limits[static_cast<std::size_t>(i)] = {limit.rlim_cur, limit.rlim_max};
  }
  EXPECT_EQ(read("/1/limits"), host("/proc/self/limits"));
}

TEST_F(Proc, CommIsWrittenByItsOwnProcessOnly) {
  EXPECT_EQ(read("/1/comm"), "program\n");
  EXPECT_EQ(write("/1/comm", "a name that is much too long\n"), 29);
  EXPECT_EQ(read("/1/comm"), "a name that is \n");
  auto other = start(proc_);
  EXPECT_EQ(KernelFixture::write(*other, "/1/comm", "x"), -EINVAL);
}

TEST_F(Proc, OomScoreAdjIsLoweredWithPrivilegeOnly) {
  EXPECT_EQ(write("/1/oom_score_adj", "500\n"), 4);
  EXPECT_EQ(read("/1/oom_score_adj"), "500\n");
  EXPECT_EQ(write("/1/oom_score_adj", "1001"), -EINVAL);
  EXPECT_EQ(write("/1/oom_score_adj", "x"), -EINVAL);
  auto weak = task_->credentials().copy();
  weak->effective = 0;
  task_->set_credentials(weak);
  EXPECT_EQ(write("/1/oom_score_adj", "100"), -EACCES);
  EXPECT_EQ(write("/1/oom_score_adj", "600"), 3);
  EXPECT_EQ(read("/1/oom_score"), "1066\n");
}

TEST_F(Proc, DescriptorsAreLinksToWhatTheyAre) {
  auto pair = PipePair::create(0, task_->credentials());
  ASSERT_EQ(task_->add_file(pair.reader, true), 0);
  ASSERT_EQ(task_->add_file(pair.writer, false), 1);
  ASSERT_EQ(
      task_->add_file(make_ref<EventFile>(std::uint64_t{5}, false, std::uint32_t{O_RDWR}), false),
      2);
  EXPECT_THAT(link("/self/fd/0"), StartsWith("pipe:["));
  EXPECT_EQ(link("/self/fd/0"), link("/self/fd/1"));
  EXPECT_EQ(link("/self/fd/2"), "anon_inode:[eventfd]");
  EXPECT_EQ(link("/self/fd/3"), "E2");
  EXPECT_THAT(names("/self/fd"), Contains("2"));
  EXPECT_THAT(read("/self/fdinfo/2"), HasSubstr("eventfd-count:                5\n"));
  EXPECT_THAT(read("/self/fdinfo/0"), HasSubstr("flags:\t02000000\n"));
}

TEST_F(Proc, APipeIsOpenedAgainThroughItsLink) {
  auto pair = PipePair::create(O_NONBLOCK, task_->credentials());
  ASSERT_EQ(task_->add_file(pair.reader, false), 0);
  ASSERT_EQ(task_->add_file(pair.writer, false), 1);
  EXPECT_EQ(write("/self/fd/1", "through the link"), 16);
  EXPECT_EQ(read("/self/fd/0"), "through the link");
  auto context = task_->walk_context(AT_FDCWD);
  auto place = vfs::walk(*context, "/self/fd/0", {});
  ASSERT_TRUE(place.has_value());
  EXPECT_EQ(place->inode()->type(), static_cast<std::uint32_t>(S_IFIFO));
}

TEST_F(Proc, AnEventfdCannotBeOpenedAgain) {
  ASSERT_EQ(
      task_->add_file(make_ref<EventFile>(std::uint64_t{5}, false, std::uint32_t{O_RDWR}), false),
      0);
  EXPECT_EQ(read("/self/fd/0"), "E6");
}

TEST_F(Proc, CwdAndRootLeadToTheirPlaces) {
  EXPECT_EQ(link("/self/root"), "/");
  EXPECT_EQ(link("/self/cwd"), "/");
  EXPECT_THAT(names("/self/root/1"), Contains("status"));
  EXPECT_EQ(link("/self/exe"), "E2");
}

TEST_F(Proc, OthersFilesAreForWhoMayTraceThem) {
  auto other = start(proc_);
  auto user = make_ref<vfs::Credentials>();
  user->uid = user->euid = user->suid = user->fsuid = 1000;
  user->gid = user->egid = user->sgid = user->fsgid = 1000;
  other->set_credentials(user);
  EXPECT_EQ(KernelFixture::read(*other, "/1/maps"), "E13");
  EXPECT_EQ(KernelFixture::link(*other, "/1/cwd"), "E13");
  EXPECT_EQ(KernelFixture::read(*other, "/1/environ"), "E13");
  EXPECT_EQ(KernelFixture::read(*other, "/2/maps"), "");
  EXPECT_THAT(KernelFixture::read(*other, "/1/status"), HasSubstr("Name:"));
}

TEST_F(Proc, DirectoriesBelongToTheirTask) {
  auto user = make_ref<vfs::Credentials>();
  user->euid = 1000;
  user->egid = 1001;
  auto other = start(proc_);
  other->set_credentials(user);
  auto context = task_->walk_context(AT_FDCWD);
  auto attributes = vfs::walk(*context, "/2/fd", {})->inode()->attributes();
  EXPECT_EQ(attributes->uid, 1000U);
  EXPECT_EQ(attributes->gid, 1001U);
  EXPECT_EQ(attributes->mode, static_cast<std::uint32_t>(S_IFDIR | 0500));
}

TEST_F(Proc, NumbersOfInodesStayTheSame) {
  auto context = task_->walk_context(AT_FDCWD);
  auto once = vfs::walk(*context, "/1/status", {})->inode()->attributes()->inode;
  auto again = vfs::walk(*context, "/1/status", {})->inode()->attributes()->inode;
  EXPECT_EQ(once, again);
  EXPECT_NE(once, vfs::walk(*context, "/1/stat", {})->inode()->attributes()->inode);
}

TEST_F(Proc, MountsAreThoseOfTheTask) {
  EXPECT_EQ(read("/mounts"), "proc / proc rw 0 0\n");
  EXPECT_THAT(read("/self/mountinfo"), HasSubstr(" / / rw - proc proc rw\n"));
  EXPECT_THAT(read("/self/mountstats"), HasSubstr("device proc mounted on / with fstype proc\n"));
}

TEST_F(Proc, NamespacesHaveNumbers) {
  EXPECT_EQ(link("/self/ns/pid"), cat("pid:[", pids_->inode, "]"));
  EXPECT_EQ(link("/self/ns/mnt"), cat("mnt:[", mounts_->id(), "]"));
  EXPECT_THAT(names("/self/ns"), Contains("user"));
  auto context = task_->walk_context(AT_FDCWD);
  EXPECT_EQ(vfs::walk(*context, "/self/ns/pid", {})->inode()->attributes()->inode, pids_->inode);
}

TEST_F(Proc, ThreadsAreBelowTask) {
  EXPECT_THAT(names("/1/task"), Contains("1"));
  EXPECT_EQ(read("/1/task/1/comm"), "program\n");
  start(proc_);
  EXPECT_EQ(read("/1/task/2/comm"), "E2");
  EXPECT_THAT(names("/1/task/1"), Not(Contains("task")));
}

TEST_F(Proc, MeminfoIsThatOfTheContainer) {
  std::string text = read("/meminfo");
  EXPECT_THAT(text, StartsWith("MemTotal:        1048576 kB\nMemFree:         1048576 kB\n"));
  auto theirs = keys(host("/proc/meminfo"));
  for (const char* key : {"MemAvailable", "Cached", "SwapTotal", "SwapFree", "Shmem", "Slab"})
    EXPECT_THAT(keys(text), Contains(key));
}

TEST_F(Proc, CpuinfoHasTheProcessorsOfTheContainer) {
  EXPECT_EQ(read("/cpuinfo"),
            "processor\t: 0\nvendor_id\t: A\n\nprocessor\t: 1\nvendor_id\t: B\n\n");
  std::string text = read("/stat");
  EXPECT_THAT(text, HasSubstr("\ncpu1 "));
  EXPECT_THAT(text, Not(HasSubstr("\ncpu2 ")));
}

TEST_F(Proc, FactsOfTheHostCanBeLimited) {
  auto facts = MachineFacts::of_host();
  ASSERT_TRUE(facts.has_value());
  EXPECT_GT(facts->memory, std::uint64_t{1} << 20);
  EXPECT_EQ(facts->cpu_texts.size(), facts->processors);
  EXPECT_EQ(facts->shown_memory(), facts->memory);
  facts->told = make_ref<kernel::ToldLimits>();
  EXPECT_EQ(facts->shown_memory(), facts->memory);
  facts->told->memory_bytes = 1 << 20;
  EXPECT_EQ(facts->shown_memory(), std::uint64_t{1} << 20);
}

TEST_F(Proc, ProcessorsAreLimitedBySetAndQuota) {
  auto told = make_ref<kernel::ToldLimits>();
  EXPECT_EQ(told->processors_of(8), 8U);
  told->processors = 4;
  EXPECT_EQ(told->processors_of(8), 4U);
  told->cpu_quota_us = 250'000;
  EXPECT_EQ(told->processors_of(8), 3U);
  told->cpu_quota_us = 1;
  EXPECT_EQ(told->processors_of(8), 1U);
}

TEST_F(Proc, UptimeAndLoadHaveTheirForms) {
  EXPECT_EQ(split(read("/uptime"), ' ').size(), 2U);
  EXPECT_EQ(split(read("/loadavg"), ' ').size(), 5U);
  EXPECT_THAT(read("/version"), StartsWith("Linux version 6.1.0 "));
}

TEST_F(Proc, HostNameIsWrittenByTheAdministrator) {
  EXPECT_EQ(read("/sys/kernel/hostname"), "box\n");
  EXPECT_EQ(write("/sys/kernel/hostname", "other\n"), 6);
  EXPECT_EQ(task_->uts().host_name(), "other");
  auto weak = task_->credentials().copy();
  weak->effective = 0;
  task_->set_credentials(weak);
  EXPECT_EQ(write("/sys/kernel/hostname", "third\n"), -EPERM);
}

TEST_F(Proc, SysctlsAreReadAndSomeAreSet) {
  EXPECT_EQ(read("/sys/vm/max_map_count"), "65530\n");
  EXPECT_EQ(read("/sys/kernel/pid_max"), "4194304\n");
  EXPECT_EQ(read("/sys/net/core/somaxconn"), "4096\n");
  EXPECT_EQ(write("/sys/net/core/somaxconn", "128\n"), 4);
  EXPECT_EQ(read("/sys/net/core/somaxconn"), "128\n");
  EXPECT_EQ(write("/sys/vm/max_map_count", "1\n"), -EIO);
  EXPECT_EQ(read("/sys/kernel/random/uuid").size(), 37U);
  EXPECT_NE(read("/sys/kernel/random/uuid"), read("/sys/kernel/random/uuid"));
  EXPECT_EQ(read("/sys/kernel/random/boot_id"), read("/sys/kernel/random/boot_id"));
}

TEST_F(Proc, WhatIsLeftOfAProcessSaysThatItIsGone) {
  auto other = start(proc_);
  auto context = task_->walk_context(AT_FDCWD);
  auto file = vfs::open(*context, "/2/comm", {.flags = O_RDONLY});
  auto directory = vfs::walk(*context, "/2", {});
  ASSERT_TRUE(file.has_value() && directory.has_value());
  pids_->tasks.erase(2);
  std::byte byte{};
  auto to = vfs::IoBuffer::of(std::span(&byte, 1));
  EXPECT_EQ((*file)->read(to, *task_).error().value, ESRCH);
  EXPECT_EQ(directory->inode()->lookup("comm").error().value, ESRCH);
  EXPECT_EQ(read("/2/comm"), "E2");
}

TEST_F(Proc, NetworkTablesStandBelowTheReader) {
  EXPECT_EQ(link("/net"), "self/net");
  EXPECT_THAT(read("/net/dev"), HasSubstr("    lo:"));
}

TEST_F(Proc, NothingCanBeMadeRemovedOrChanged) {
  auto context = task_->walk_context(AT_FDCWD);
  EXPECT_EQ(vfs::make_directory(*context, "/new", 0755).error().value, ENOENT);
  EXPECT_EQ(vfs::open(*context, "/new", {.flags = O_WRONLY | O_CREAT}).error().value, ENOENT);
  EXPECT_FALSE(vfs::unlink(*context, "/meminfo").has_value());
  vfs::AttributeChange change;
  change.mode = 0600;
  auto outcome = vfs::change(*vfs::walk(*context, "/meminfo", {}), task_->credentials(), change);
  EXPECT_EQ(outcome.error().value, EPERM);
}

TEST_F(Proc, TextIsReadInPiecesAsItWas) {
  auto context = task_->walk_context(AT_FDCWD);
  auto file = vfs::open(*context, "/1/comm", {.flags = O_RDONLY});
  ASSERT_TRUE(file.has_value());
  std::string text(3, '\0');
  auto first = vfs::IoBuffer::of(std::as_writable_bytes(std::span(text)));
  EXPECT_EQ(*(*file)->read(first, *task_), 3U);
  EXPECT_EQ(text, "pro");
  task_->set_name("changed");
  auto second = vfs::IoBuffer::of(std::as_writable_bytes(std::span(text)));
  EXPECT_EQ(*(*file)->read(second, *task_), 3U);
  EXPECT_EQ(text, "gra");
  EXPECT_TRUE((*file)->seek(0, SEEK_SET).has_value());
  auto third = vfs::IoBuffer::of(std::as_writable_bytes(std::span(text)));
  EXPECT_EQ(*(*file)->read(third, *task_), 3U);
  EXPECT_EQ(text, "cha");
}

TEST(ProcessorTexts, AreThoseOfLinux) {
  EXPECT_EQ(processor_list({}, 1), "0");
  EXPECT_EQ(processor_list({}, 4), "0-3");
  EXPECT_EQ(processor_list({0b101110}, 8), "1-3,5");
  EXPECT_EQ(processor_mask({}, 2), "3");
  EXPECT_EQ(processor_mask({}, 40), "ff,ffffffff");
  EXPECT_EQ(processor_mask({1}, 40), "0,00000001");
}

}  // namespace
}  // namespace caisson::sandbox::fs
