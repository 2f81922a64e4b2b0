#include "spec/oci_writer.h"

#include <algorithm>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "spec/oci_config.h"
#include "spec/testdata.h"

namespace caisson::spec {
namespace {

using testing::HasSubstr;
using testing::Not;

// Makes descriptions that a reader could have given: any words of the enumerations, any text, each
// optional part there or not.
class SpecMaker {
 public:
  explicit SpecMaker(unsigned seed) : random_(seed) {}

  ContainerSpec spec();

 private:
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  bool coin() { return below(2) == 0; }

  template <typename T>
  void make(T& out);
  template <typename T>
  void make(std::optional<T>& out);
  template <typename T>
  void make(std::vector<T>& out);
  template <typename T>
  void make(std::map<std::string, T>& out);
  template <typename... T>
  void make_all(T&... out) {
    (make(out), ...);
  }

  std::string text();
  void one_of(std::string& out, std::initializer_list<const char*> words) {
    out = *(words.begin() + below(words.size()));
  }
  void some_of(Strings& out, std::initializer_list<const char*> words) {
    for (auto word : words) {
      if (coin()) out.emplace_back(word);
    }
  }
  std::string list() { return coin() ? "" : coin() ? "0-3,7" : "1"; }
  void environment(Strings& out) {
    for (auto n = below(3); n > 0; --n) out.push_back(cat("V", below(9), "=", text()));
  }
  template <typename Int>
  void limit(std::optional<Int>& out) {
    if (coin()) out = coin() ? -1 : static_cast<std::int64_t>(random_() >> 1);
  }

  std::mt19937_64 random_;
};

std::string SpecMaker::text() {
  static constexpr const char* kPieces[] = {"a",
                                            "Z",
                                            "0",
                                            "/",
                                            " ",
                                            "\"",
                                            "\\",
                                            "\n",
                                            "\x01",
                                            "\x7f",
                                            "\xc3\xbc",
                                            "\xe2\x82\xac",
                                            "\xf0\x9f\x98\x80",
                                            "<&>",
                                            "plain and long enough for the heap"};
  std::string out;
  for (auto n = below(6); n > 0; --n) out += kPieces[below(std::size(kPieces))];
  return out;
}

template <typename T>
void SpecMaker::make(std::optional<T>& out) {
  if (coin()) make(out.emplace());
}

template <typename T>
void SpecMaker::make(std::vector<T>& out) {
  for (auto n = below(3); n > 0; --n) make(out.emplace_back());
}

template <typename T>
void SpecMaker::make(std::map<std::string, T>& out) {
  for (auto n = below(3); n > 0; --n) make(out["k" + text()]);
}

template <typename T>
void SpecMaker::make(T& out) {
  if constexpr (std::is_same_v<T, bool>) {
    out = coin();
  } else if constexpr (std::is_integral_v<T>) {
    constexpr T kSome[] = {0, 1, std::numeric_limits<T>::min(), std::numeric_limits<T>::max()};
    out = coin() ? kSome[below(4)] : static_cast<T>(random_());
  } else {
    out = text();
  }
}

template <>
void SpecMaker::make(Rlimit& out) {
  one_of(out.type, {"RLIMIT_NOFILE", "RLIMIT_CORE"});
  make_all(out.soft, out.hard);
}

template <>
void SpecMaker::make(Capabilities& out) {
  make_all(out.bounding, out.effective, out.inheritable, out.permitted, out.ambient);
}

template <>
void SpecMaker::make(User& out) {
  make_all(out.uid, out.gid, out.additional_gids);
  if (coin()) out.umask = static_cast<std::uint32_t>(below(01000));
}

template <>
void SpecMaker::make(ConsoleSize& out) {
  make_all(out.height, out.width);
}

template <>
void SpecMaker::make(Scheduler& out) {
  one_of(out.policy, {"SCHED_OTHER", "SCHED_FIFO", "SCHED_DEADLINE"});
  out.nice = static_cast<int>(below(40)) - 20;
  out.priority = static_cast<int>(below(100));
  some_of(out.flags, {"SCHED_FLAG_RECLAIM", "SCHED_FLAG_UTIL_CLAMP_MIN"});
  make_all(out.runtime, out.deadline, out.period);
}

template <>
void SpecMaker::make(IoPriority& out) {
  one_of(out.io_class, {"IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"});
  out.priority = static_cast<int>(below(8));
}

template <>
void SpecMaker::make(ExecCpuAffinity& out) {
  out.initial = list();
  out.final_set = list();
}

template <>
void SpecMaker::make(Process& out) {
  make_all(out.terminal, out.console_size, out.user, out.args, out.cwd, out.capabilities,
           out.rlimits, out.no_new_privileges, out.apparmor_profile, out.selinux_label,
           out.scheduler, out.io_priority, out.exec_cpu_affinity);
  environment(out.env);
  if (coin()) out.oom_score_adj = static_cast<int>(below(2001)) - 1000;
}

template <>
void SpecMaker::make(IdMapping& out) {
  make_all(out.container_id, out.host_id, out.size);
}

template <>
void SpecMaker::make(Mount& out) {
  make_all(out.type, out.source, out.options, out.uid_mappings, out.gid_mappings);
  out.destination = "/" + text();
}

template <>
void SpecMaker::make(Hook& out) {
  out.path = "/" + text();
  make(out.args);
  if (coin()) environment(out.env.emplace());
  if (coin()) out.timeout = 1 + static_cast<int>(below(1000));
}

template <>
void SpecMaker::make(Hooks& out) {
  make_all(out.prestart, out.create_runtime, out.create_container, out.start_container,
           out.poststart, out.poststop);
}

template <>
void SpecMaker::make(Namespace& out) {
  out.kind = static_cast<NamespaceKind>(below(kNamespaceKinds));
  make(out.path);
}

template <>
void SpecMaker::make(Device& out) {
  out.path = "/" + text();
  out.type = "cbup"[below(4)];
  make_all(out.major, out.minor, out.file_mode, out.uid, out.gid);
  // The smallest number is how the reader knows that a FIFO has none.
  for (auto* number : {&out.major, &out.minor}) *number = std::max<std::int64_t>(*number, -1);
}

template <>
void SpecMaker::make(DeviceRule& out) {
  make(out.allow);
  out.type = "abc"[below(3)];
  if (coin()) out.major = static_cast<std::int64_t>(below(4096));
  if (coin()) out.minor = static_cast<std::int64_t>(below(4096));
  for (char c : {'r', 'w', 'm'}) {
    if (coin()) out.access += c;
  }
}

template <>
void SpecMaker::make(MemoryResources& out) {
  limit(out.limit);
  limit(out.reservation);
  limit(out.swap);
  limit(out.kernel);
  limit(out.kernel_tcp);
  if (coin()) out.swappiness = below(101);
  make_all(out.disable_oom_killer, out.use_hierarchy, out.check_before_update);
}

template <>
void SpecMaker::make(CpuResources& out) {
  make_all(out.shares, out.quota, out.burst, out.period, out.realtime_period, out.realtime_runtime);
  if (coin()) out.cpus = list();
  if (coin()) out.mems = list();
  if (coin()) out.idle = static_cast<std::int64_t>(below(2));
}

template <>
void SpecMaker::make(WeightDevice& out) {
  make_all(out.major, out.minor, out.weight, out.leaf_weight);
}

template <>
void SpecMaker::make(ThrottleDevice& out) {
  make_all(out.major, out.minor, out.rate);
}

template <>
void SpecMaker::make(BlockIoResources& out) {
  make_all(out.weight, out.leaf_weight, out.weight_devices, out.read_bps, out.write_bps,
           out.read_iops, out.write_iops);
}

template <>
void SpecMaker::make(HugepageLimit& out) {
  one_of(out.page_size, {"64KB", "2MB", "1GB"});
  make(out.limit);
}

template <>
void SpecMaker::make(NetworkPriority& out) {
  make_all(out.name, out.priority);
}

template <>
void SpecMaker::make(NetworkResources& out) {
  make_all(out.class_id, out.priorities);
}

template <>
void SpecMaker::make(RdmaLimit& out) {
  make_all(out.hca_handles, out.hca_objects);
}

template <>
void SpecMaker::make(Resources& out) {
  make_all(out.devices, out.memory, out.cpu, out.block_io, out.hugepage_limits, out.network,
           out.rdma, out.unified);
  limit(out.pids_limit);
}

template <>
void SpecMaker::make(SeccompArg& out) {
  out.index = static_cast<std::uint32_t>(below(6));
  make_all(out.value, out.value_two);
  one_of(out.op, {"SCMP_CMP_NE", "SCMP_CMP_MASKED_EQ"});
}

template <>
void SpecMaker::make(SeccompRule& out) {
  out.names = {text(), text()};
  one_of(out.action, {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"});
  make_all(out.errno_ret, out.args);
}

template <>
void SpecMaker::make(Seccomp& out) {
  one_of(out.default_action, {"SCMP_ACT_KILL", "SCMP_ACT_TRACE"});
  some_of(out.architectures, {"SCMP_ARCH_X86_64", "SCMP_ARCH_SHEB"});
  if (coin())
    some_of(out.flags.emplace(), {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"});
  make_all(out.default_errno_ret, out.listener_path, out.listener_metadata, out.rules);
}

template <>
void SpecMaker::make(IntelRdt& out) {
  make_all(out.clos_id, out.l3_cache_schema, out.mem_bw_schema, out.schemata,
           out.enable_monitoring);
}

template <>
void SpecMaker::make(MemoryPolicy& out) {
  one_of(out.mode, {"MPOL_BIND", "MPOL_LOCAL"});
  out.nodes = list();
  some_of(out.flags, {"MPOL_F_STATIC_NODES", "MPOL_F_NUMA_BALANCING"});
}

template <>
void SpecMaker::make(Linux& out) {
  make_all(out.namespaces, out.uid_mappings, out.gid_mappings, out.devices, out.net_devices,
           out.cgroups_path, out.sysctl, out.seccomp, out.masked_paths, out.readonly_paths,
           out.mount_label, out.intel_rdt, out.memory_policy);
  if (coin()) make(out.resources);
  if (coin()) out.time_offsets["boottime"] = {-3, static_cast<std::uint32_t>(below(1'000'000'000))};
  if (coin()) out.time_offsets["monotonic"] = {static_cast<std::int64_t>(random_()), 0};
  if (coin()) one_of(out.rootfs_propagation, {"shared", "rslave", "unbindable"});
  if (coin()) one_of(out.personality.emplace(), {"LINUX", "LINUX32"});
}

template <>
void SpecMaker::make(Root& out) {
  make_all(out.path, out.readonly);
}

ContainerSpec SpecMaker::spec() {
  ContainerSpec out;
  one_of(out.oci_version, {"1.0.2-dev", "1.3.0", "1.2.0+b.7"});
  out.bundle = "/bundle";
  make_all(out.root, out.process, out.hostname, out.domainname, out.mounts, out.hooks,
           out.annotations, out.linux_part);
  if (coin()) {
    out.root_source = RootSource::kMachineView;
    if (out.root) out.root->path.clear();
  }
  return out;
}

TEST(OciWriter, WritesEverySpecWithoutLoss) {
  for (unsigned seed = 0; seed < 2000; ++seed) {
    auto spec = SpecMaker(seed).spec();
    auto text = write_oci_config(spec);
    auto again = read_oci_config(text, spec.bundle);
    ASSERT_TRUE(again) << again.error().message() << "\n" << text;
    ASSERT_EQ(*again, spec) << text << "\n" << write_oci_config(*again);
  }
}

TEST(OciWriter, WritesPartsWithoutLoss) {
  for (unsigned seed = 0; seed < 500; ++seed) {
    auto spec = SpecMaker(seed).spec();
    if (spec.process) {
      auto again = read_oci_process(write_oci_process(*spec.process));
      ASSERT_TRUE(again) << again.error().message();
      EXPECT_EQ(*again, *spec.process);
    }
    if (spec.linux_part) {
      auto again = read_oci_resources(write_oci_resources(spec.linux_part->resources));
      ASSERT_TRUE(again) << again.error().message();
      EXPECT_EQ(*again, spec.linux_part->resources);
    }
  }
}

TEST(OciWriter, WritesTheConfigsOfEnginesWithoutLoss) {
  for (auto name : {"runc_default.json", "crun_default.json", "docker.json", "podman.json"}) {
    auto spec = read_oci_config(test_text(name), "/bundle");
    ASSERT_TRUE(spec) << spec.error().message();
    auto again = read_oci_config(write_oci_config(*spec), "/bundle");
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(*again, *spec);
  }
}

TEST(OciWriter, WritesGoStyleIndentation) {
  ContainerSpec spec;
  spec.root = Root{.path = "rootfs", .readonly = true};
  EXPECT_EQ(write_oci_config(spec),
            "{\n\t\"ociVersion\": \"1.3.0\",\n\t\"root\": {\n\t\t\"path\": \"rootfs\",\n"
            "\t\t\"readonly\": true\n\t}\n}\n");
}

TEST(OciWriter, WritesAMachineViewAsAnAnnotation) {
  ContainerSpec spec;
  spec.root_source = RootSource::kMachineView;
  auto text = write_oci_config(spec);
  EXPECT_THAT(text, HasSubstr("\"org.caisson.root\": \"machine-view\""));
  auto again = read_oci_config(text, "");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->root_source, RootSource::kMachineView);
  EXPECT_TRUE(again->annotations.empty());
}

TEST(OciWriter, NeverWritesTheRootAnnotationOfAnotherRoot) {
  ContainerSpec spec;
  spec.annotations["org.caisson.root"] = "machine-view";
  EXPECT_THAT(write_oci_config(spec), Not(HasSubstr("org.caisson.root")));
}

}  // namespace
}  // namespace caisson::spec
