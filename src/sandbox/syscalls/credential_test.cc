// User and group ids, capabilities, limits.
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>

#include "sandbox/syscalls/guest_fixture_test.h"

namespace caisson::sandbox::syscalls {
namespace {

using Credentials = GuestTest;
using Ids = std::array<std::uint32_t, 3>;

Ids users(FakeGuest& guest) {
  EXPECT_EQ(guest.call(SYS_getresuid, kA, kA + 4, kA + 8), 0);
  return guest.get<Ids>(kA);
}
Ids groups(FakeGuest& guest) {
  EXPECT_EQ(guest.call(SYS_getresgid, kA, kA + 4, kA + 8), 0);
  return guest.get<Ids>(kA);
}

struct Sets {
  std::uint64_t effective, permitted, inheritable;
};
Sets capabilities(FakeGuest& guest) {
  guest.put(kA, std::array<std::uint32_t, 2>{_LINUX_CAPABILITY_VERSION_3, 0});
  EXPECT_EQ(guest.call(SYS_capget, kA, kA + 16), 0);
  auto words = guest.get<std::array<std::uint32_t, 6>>(kA + 16);
  auto join = [&](std::size_t i) { return words[i] | std::uint64_t{words[i + 3]} << 32; };
  return {join(0), join(1), join(2)};
}
std::int64_t set_capabilities(FakeGuest& guest, Sets sets) {
  auto low = [](std::uint64_t set) { return static_cast<std::uint32_t>(set); };
  auto high = [](std::uint64_t set) { return static_cast<std::uint32_t>(set >> 32); };
  guest.put(kA, std::array<std::uint32_t, 2>{_LINUX_CAPABILITY_VERSION_3, 0});
  guest.put(kA + 16, std::array<std::uint32_t, 6>{low(sets.effective), low(sets.permitted),
                                                  low(sets.inheritable), high(sets.effective),
                                                  high(sets.permitted), high(sets.inheritable)});
  return guest.call(SYS_capset, kA, kA + 16);
}
constexpr std::uint64_t cap(int capability) { return std::uint64_t{1} << capability; }

TEST_F(Credentials, SetuidOfRootSetsAllThree) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_setuid, 1000), 0);
    EXPECT_EQ(users(guest), (Ids{1000, 1000, 1000}));
    EXPECT_EQ(guest.call(SYS_setuid, 0), -EPERM);
    EXPECT_EQ(guest.call(SYS_setuid, 1000), 0);
    EXPECT_EQ(guest.call(SYS_getuid), 1000);
    EXPECT_EQ(guest.call(SYS_geteuid), 1000);
  });
}

TEST_F(Credentials, SavedIdLetsOneBack) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_setresuid, 1000, 1000, 0), 0);
    EXPECT_EQ(capabilities(guest).effective, 0U);
    EXPECT_EQ(guest.call(SYS_setuid, 0), 0);
    EXPECT_EQ(users(guest), (Ids{1000, 0, 0}));
    EXPECT_NE(capabilities(guest).effective, 0U);
  });
}

TEST_F(Credentials, SetreuidMovesTheSavedId) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_setreuid, -1, 1000), 0);
    EXPECT_EQ(users(guest), (Ids{0, 1000, 1000}));
    EXPECT_EQ(guest.call(SYS_setreuid, 5, -1), -EPERM);
    EXPECT_EQ(guest.call(SYS_setreuid, 1000, 0), 0);
    EXPECT_EQ(users(guest), (Ids{1000, 0, 0}));
  });
}

TEST_F(Credentials, SetresuidKeepsWhatIsMinusOne) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_setresuid, -1, 7, -1), 0);
    EXPECT_EQ(users(guest), (Ids{0, 7, 0}));
    EXPECT_EQ(guest.call(SYS_setresuid, 8, -1, -1), -EPERM);
    EXPECT_EQ(guest.call(SYS_setresuid, 7, 0, 7), 0);
  });
}

TEST_F(Credentials, GroupsFollowTheSameRules) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_setresgid, 1, 2, 3), 0);
    EXPECT_EQ(groups(guest), (Ids{1, 2, 3}));
    EXPECT_EQ(guest.call(SYS_setregid, 4, 5), 0);
    EXPECT_EQ(groups(guest), (Ids{4, 5, 5}));
    EXPECT_EQ(guest.call(SYS_setgid, 6), 0);
    EXPECT_EQ(groups(guest), (Ids{6, 6, 6}));
    EXPECT_EQ(guest.call(SYS_setuid, 1000), 0);
    EXPECT_EQ(guest.call(SYS_setgid, 7), -EPERM);
    EXPECT_EQ(guest.call(SYS_setgid, -1), -EINVAL);
  });
}

TEST_F(Credentials, SupplementaryGroups) {
  run([](FakeGuest& guest) {
    guest.put(kA, Ids{30, 10, 20});
    EXPECT_EQ(guest.call(SYS_setgroups, 3, kA), 0);
    EXPECT_EQ(guest.call(SYS_getgroups, 0, 0), 3);
    EXPECT_EQ(guest.call(SYS_getgroups, 2, kA), -EINVAL);
    EXPECT_EQ(guest.call(SYS_getgroups, -1, kA), -EINVAL);
    EXPECT_EQ(guest.call(SYS_getgroups, 3, kA + 64), 3);
    EXPECT_EQ(guest.get<Ids>(kA + 64), (Ids{10, 20, 30}));
    EXPECT_EQ(guest.call(SYS_setgroups, 65537, kA), -EINVAL);
    EXPECT_EQ(guest.call(SYS_setgroups, 1, 1), -EFAULT);
    guest.call(SYS_setuid, 1000);
    EXPECT_EQ(guest.call(SYS_setgroups, 0, 0), -EPERM);
  });
}

TEST_F(Credentials, FsuidAnswersWhatItWas) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_setfsuid, 1000), 0);
    EXPECT_EQ(capabilities(guest).effective & cap(CAP_DAC_OVERRIDE), 0U);
    EXPECT_EQ(guest.call(SYS_setfsuid, -1), 1000);
    EXPECT_EQ(guest.call(SYS_setfsuid, 0), 1000);
    EXPECT_NE(capabilities(guest).effective & cap(CAP_DAC_OVERRIDE), 0U);
    EXPECT_EQ(guest.call(SYS_setfsgid, 5), 0);
    EXPECT_EQ(guest.call(SYS_setfsgid, -1), 5);
  });
}

TEST_F(Credentials, LeavingRootTakesCapabilities) {
  run([](FakeGuest& guest) {
    guest.call(SYS_setuid, 1000);
    Sets sets = capabilities(guest);
    EXPECT_EQ(sets.effective | sets.permitted, 0U);
  });
}

TEST_F(Credentials, KeepcapsKeepsThePermittedOnes) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_prctl, PR_SET_KEEPCAPS, 1), 0);
    EXPECT_EQ(guest.call(SYS_prctl, PR_GET_KEEPCAPS), 1);
    guest.call(SYS_setuid, 1000);
    Sets sets = capabilities(guest);
    EXPECT_EQ(sets.effective, 0U);
    EXPECT_NE(sets.permitted, 0U);
    EXPECT_EQ(guest.call(SYS_prctl, PR_SET_KEEPCAPS, 2), -EINVAL);
  });
}

TEST_F(Credentials, NoFixupKeepsAll) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_prctl, PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP), 0);
    EXPECT_EQ(guest.call(SYS_prctl, PR_GET_SECUREBITS), SECBIT_NO_SETUID_FIXUP);
    guest.call(SYS_setuid, 1000);
    EXPECT_NE(capabilities(guest).effective, 0U);
  });
}

TEST_F(Credentials, LockedSecurebitsStay) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_prctl, PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED), 0);
    EXPECT_EQ(guest.call(SYS_prctl, PR_SET_SECUREBITS, 0), -EPERM);
    EXPECT_EQ(guest.call(SYS_prctl, PR_SET_SECUREBITS, SECBIT_NOROOT_LOCKED), -EPERM);
    EXPECT_EQ(guest.call(SYS_prctl, PR_SET_SECUREBITS, 1 << 20), -EPERM);
  });
}

TEST_F(Credentials, CapsetOnlyTakesAway) {
  run([](FakeGuest& guest) {
    Sets sets = capabilities(guest);
    sets.effective = sets.permitted = cap(CAP_KILL);
    EXPECT_EQ(set_capabilities(guest, sets), 0);
    EXPECT_EQ(capabilities(guest).permitted, cap(CAP_KILL));
    sets.permitted |= cap(CAP_CHOWN);
    EXPECT_EQ(set_capabilities(guest, sets), -EPERM);
    sets.permitted = 0;
    EXPECT_EQ(set_capabilities(guest, sets), -EPERM);  // effective is more than permitted
    sets.effective = 0;
    EXPECT_EQ(set_capabilities(guest, sets), 0);
  });
}

TEST_F(Credentials, CapgetKnowsItsVersions) {
  run([](FakeGuest& guest) {
    guest.put(kA, std::array<std::uint32_t, 2>{0, 0});
    EXPECT_EQ(guest.call(SYS_capget, kA, 0), 0);
    EXPECT_EQ(guest.get<std::uint32_t>(kA), std::uint32_t{_LINUX_CAPABILITY_VERSION_3});
    guest.put(kA, std::array<std::uint32_t, 2>{0, 0});
    EXPECT_EQ(guest.call(SYS_capget, kA, kA + 16), -EINVAL);
    guest.put(kA, std::array<std::uint32_t, 2>{_LINUX_CAPABILITY_VERSION_3, 99999});
    EXPECT_EQ(guest.call(SYS_capget, kA, kA + 16), -ESRCH);
    guest.put(kA, std::array<std::uint32_t, 2>{_LINUX_CAPABILITY_VERSION_3, 1});
    EXPECT_EQ(guest.call(SYS_capset, kA, kA + 16), -EPERM);
  });
}

TEST_F(Credentials, BoundingSetShrinks) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_prctl, PR_CAPBSET_READ, CAP_CHOWN), 1);
    EXPECT_EQ(guest.call(SYS_prctl, PR_CAPBSET_DROP, CAP_CHOWN), 0);
    EXPECT_EQ(guest.call(SYS_prctl, PR_CAPBSET_READ, CAP_CHOWN), 0);
    EXPECT_EQ(guest.call(SYS_prctl, PR_CAPBSET_READ, 41), -EINVAL);
    EXPECT_EQ(guest.call(SYS_prctl, PR_CAPBSET_DROP, 41), -EINVAL);
    guest.call(SYS_setuid, 1000);
    EXPECT_EQ(guest.call(SYS_prctl, PR_CAPBSET_DROP, CAP_KILL), -EPERM);
  });
}

TEST_F(Credentials, AmbientNeedsPermittedAndInheritable) {
  run([](FakeGuest& guest) {
    auto ambient = [&](int action, int capability) {
      return guest.call(SYS_prctl, PR_CAP_AMBIENT, action, capability, 0, 0);
    };
    EXPECT_EQ(ambient(PR_CAP_AMBIENT_RAISE, CAP_KILL), -EPERM);
    Sets sets = capabilities(guest);
    sets.inheritable = cap(CAP_KILL);
    EXPECT_EQ(set_capabilities(guest, sets), 0);
    EXPECT_EQ(ambient(PR_CAP_AMBIENT_RAISE, CAP_KILL), 0);
    EXPECT_EQ(ambient(PR_CAP_AMBIENT_IS_SET, CAP_KILL), 1);
    EXPECT_EQ(ambient(PR_CAP_AMBIENT_LOWER, CAP_KILL), 0);
    EXPECT_EQ(ambient(PR_CAP_AMBIENT_IS_SET, CAP_KILL), 0);
    EXPECT_EQ(ambient(PR_CAP_AMBIENT_RAISE, 41), -EINVAL);
    EXPECT_EQ(ambient(PR_CAP_AMBIENT_CLEAR_ALL, 0), 0);
    EXPECT_EQ(ambient(9, 0), -EINVAL);
  });
}

TEST_F(Credentials, NoNewPrivilegesIsForGood) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
    EXPECT_EQ(guest.call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), -EINVAL);
    EXPECT_EQ(guest.call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    EXPECT_EQ(guest.call(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
    std::int64_t child = guest.fork(
        [](FakeGuest& own) { EXPECT_EQ(own.call(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1); });
    wait_status(guest, child);
  });
}

TEST_F(Credentials, ChangeOfIdsIsNotDumpable) {
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_prctl, PR_GET_DUMPABLE), 1);
    guest.call(SYS_setresuid, -1, 1000, -1);
    EXPECT_EQ(guest.call(SYS_prctl, PR_GET_DUMPABLE), 0);
    EXPECT_EQ(guest.call(SYS_prctl, PR_SET_DUMPABLE, 1), 0);
    EXPECT_EQ(guest.call(SYS_prctl, PR_SET_DUMPABLE, 2), -EINVAL);
  });
}

// --- limits

TEST_F(Credentials, LimitsAreSetAndTold) {
  limits[RLIMIT_NOFILE] = {100, 200};
  run([](FakeGuest& guest) {
    using Limit = std::array<std::uint64_t, 2>;
    EXPECT_EQ(guest.call(SYS_getrlimit, RLIMIT_NOFILE, kA), 0);
    EXPECT_EQ(guest.get<Limit>(kA), (Limit{100, 200}));
    guest.put(kA, Limit{300, 200});
    EXPECT_EQ(guest.call(SYS_setrlimit, RLIMIT_NOFILE, kA), -EINVAL);
    guest.put(kA, Limit{50, 150});
    EXPECT_EQ(guest.call(SYS_prlimit64, 0, RLIMIT_NOFILE, kA, kA + 64), 0);
    EXPECT_EQ(guest.get<Limit>(kA + 64), (Limit{100, 200}));
    guest.put(kA, Limit{1, std::uint64_t{1} << 30});
    EXPECT_EQ(guest.call(SYS_setrlimit, RLIMIT_NOFILE, kA), -EPERM);
    EXPECT_EQ(guest.call(SYS_getrlimit, 16, kA), -EINVAL);
    EXPECT_EQ(guest.call(SYS_prlimit64, 99999, RLIMIT_NOFILE, 0, kA), -ESRCH);
    EXPECT_EQ(guest.call(SYS_prlimit64, 0, RLIMIT_NOFILE, 1, 0), -EFAULT);
    EXPECT_EQ(guest.call(SYS_setuid, 1000), 0);
    guest.put(kA, Limit{50, 160});
    EXPECT_EQ(guest.call(SYS_setrlimit, RLIMIT_NOFILE, kA), -EPERM);
    EXPECT_EQ(guest.call(SYS_prlimit64, 1, RLIMIT_NOFILE, 0, kA), -EPERM);
  });
}

TEST_F(Credentials, DescriptorsEndAtTheirLimit) {
  limits[RLIMIT_NOFILE] = {2, 2};
  run([](FakeGuest& guest) {
    std::int64_t own = guest.call(SYS_getpid);
    EXPECT_EQ(guest.call(SYS_pidfd_open, own, 0), 0);
    EXPECT_EQ(guest.call(SYS_pidfd_open, own, 0), 1);
    EXPECT_EQ(guest.call(SYS_pidfd_open, own, 0), -EMFILE);
    EXPECT_EQ(guest.call(SYS_pidfd_open, own, 1), -EINVAL);
    EXPECT_EQ(guest.call(SYS_pidfd_open, 99999, 0), -ESRCH);
  });
}

TEST_F(Credentials, NiceIsKept) {
  limits[RLIMIT_NICE] = {0, 0};
  run([](FakeGuest& guest) {
    EXPECT_EQ(guest.call(SYS_getpriority, 0, 0), 20);
    EXPECT_EQ(guest.call(SYS_setpriority, 0, 0, 5), 0);
    EXPECT_EQ(guest.call(SYS_getpriority, 0, 0), 15);
    EXPECT_EQ(guest.call(SYS_getpriority, 3, 0), -EINVAL);
    EXPECT_EQ(guest.call(SYS_getpriority, 0, 99999), -ESRCH);
    guest.call(SYS_setuid, 1000);
    EXPECT_EQ(guest.call(SYS_setpriority, 0, 0, 0), -EACCES);
    EXPECT_EQ(guest.call(SYS_setpriority, 0, 1, 19), -EPERM);
  });
}

TEST_F(Credentials, AffinityIsWithinTheMachine) {
  run([](FakeGuest& guest) {
    std::int64_t size = guest.call(SYS_sched_getaffinity, 0, 4096, kA);
    EXPECT_GE(size, 8);
    EXPECT_NE(guest.get<std::uint64_t>(kA), 0U);
    EXPECT_EQ(guest.call(SYS_sched_getaffinity, 0, 1, kA), -EINVAL);
    guest.put(kA, std::uint64_t{0});
    EXPECT_EQ(guest.call(SYS_sched_setaffinity, 0, 8, kA), -EINVAL);
    EXPECT_EQ(guest.call(SYS_sched_getaffinity, 99999, 4096, kA), -ESRCH);
  });
}

}  // namespace
}  // namespace caisson::sandbox::syscalls
