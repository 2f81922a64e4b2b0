#include "spec/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/json.h"
#include "spec/oci_config.h"
#include "spec/testdata.h"

namespace caisson::spec {
namespace {

// A minimal valid config with `process` and `linux` members and more at the top.
std::string message_of(std::string_view process, std::string_view linux_part,
                       std::string_view top = "") {
  auto text = cat(R"({"ociVersion":"1.3.0","root":{"path":"r"},"process":{"args":["a"],"cwd":"/")",
                  process.empty() ? "" : ",", process, "},\"linux\":{", linux_part, "}",
                  top.empty() ? "" : ",", top, "}");
  auto spec = read_oci_config(text, "/bundle");
  if (!spec) return cat("unreadable: ", spec.error().message());
  auto valid = validate(*spec);
  if (valid) return "";
  EXPECT_EQ(valid.error().code(), "spec.invalid");
  return valid.error().message();
}

std::string of_process(std::string_view members) { return message_of(members, ""); }
std::string of_linux(std::string_view members) { return message_of("", members); }
std::string of_top(std::string_view members) { return message_of("", "", members); }

TEST(Validate, AcceptsTheConfigsOfEngines) {
  for (auto name : {"runc_default.json", "crun_default.json", "docker.json", "podman.json"}) {
    auto spec = read_oci_config(test_text(name), "/bundle");
    ASSERT_TRUE(spec);
    auto valid = validate(*spec);
    EXPECT_TRUE(valid) << name << ": " << valid.error().message();
  }
}

TEST(Validate, WantsARootForEveryDirectoryContainer) {
  EXPECT_EQ(validate(ContainerSpec{}).error().message(),
            "config.json: root: a container needs a root file system");
  ContainerSpec spec;
  spec.root = Root{};
  EXPECT_EQ(validate(spec).error().message(), "config.json: root.path: the path is empty");
  spec.root_source = RootSource::kMachineView;
  EXPECT_TRUE(validate(spec));
  spec.root.reset();
  EXPECT_TRUE(validate(spec));
  spec.root = Root{.path = "/x"};
  EXPECT_EQ(validate(spec).error().message(),
            "config.json: root.path: a view of this machine has no root path");
}

TEST(Validate, NamesTheFieldAloneForDescriptionsWithoutFile) {
  EXPECT_EQ(validate(ContainerSpec{}, "").error().message(),
            "root: a container needs a root file system");
}

TEST(Validate, WantsAProgramAndAnAbsoluteWorkingDirectory) {
  EXPECT_EQ(of_process(R"("args":[])"), "config.json: process.args: there is no program to run");
  EXPECT_EQ(
      of_process(R"("args":[""])"),
      "config.json: process.args[0]: exec: \"\": executable file not found in $PATH: the program's "
      "name is empty");
  EXPECT_EQ(of_process(R"("cwd":"tmp")"),
            "config.json: process.cwd: the working directory must be absolute, found \"tmp\"");
  EXPECT_EQ(of_process(R"("cwd":"")"),
            "config.json: process.cwd: the working directory must be absolute, found \"\"");
}

TEST(Validate, ChecksAProcessAlone) {
  EXPECT_EQ(validate_process(Process{}).error().message(),
            "process.json: args: there is no program to run");
  EXPECT_EQ(validate_process(Process{}, "").error().message(), "args: there is no program to run");
}

TEST(Validate, RefusesTheIdsThatAreNone) {
  EXPECT_EQ(of_process(R"("user":{"uid":4294967295})"),
            "config.json: process.user.uid: 4294967295 is no user id");
  EXPECT_EQ(of_process(R"("user":{"gid":4294967295})"),
            "config.json: process.user.gid: 4294967295 is no group id");
  EXPECT_EQ(of_process(R"("user":{"additionalGids":[1,4294967295]})"),
            "config.json: process.user.additionalGids[1]: 4294967295 is no group id");
}

TEST(Validate, RefusesContradictingLimits) {
  EXPECT_EQ(of_process(R"("rlimits":[{"type":"RLIMIT_CORE","soft":2,"hard":1}])"),
            "config.json: process.rlimits[0]: the soft limit 2 is above the hard limit 1");
  EXPECT_EQ(of_process(R"("rlimits":[{"type":"RLIMIT_CORE","soft":1,"hard":1},
                                     {"type":"RLIMIT_CORE","soft":1,"hard":1}])"),
            "config.json: process.rlimits[1]: RLIMIT_CORE is set twice, first in rlimits[0]");
}

TEST(Validate, HoldsSchedulersToTheFieldsOfTheirPolicy) {
  EXPECT_EQ(of_process(R"("scheduler":{"policy":"SCHED_OTHER","nice":5})"), "");
  EXPECT_EQ(of_process(R"("scheduler":{"policy":"SCHED_FIFO","nice":5,"priority":1})"), "");
  EXPECT_EQ(of_process(R"("scheduler":{"policy":"SCHED_BATCH","priority":1})"),
            "config.json: process.scheduler.priority: only SCHED_FIFO and SCHED_RR take a "
            "priority, not SCHED_BATCH");
  EXPECT_EQ(of_process(R"("scheduler":{"policy":"SCHED_RR"})"),
            "config.json: process.scheduler.priority: SCHED_RR needs a priority from 1 to 99");
  EXPECT_EQ(of_process(R"("scheduler":{"policy":"SCHED_IDLE","runtime":1})"),
            "config.json: process.scheduler: only SCHED_DEADLINE takes runtime, deadline and "
            "period, not SCHED_IDLE");
  EXPECT_EQ(of_process(R"("scheduler":{"policy":"SCHED_DEADLINE","runtime":3,"deadline":2})"),
            "config.json: process.scheduler: SCHED_DEADLINE needs 0 < runtime <= deadline <= "
            "period, found 3, 2, 0");
}

TEST(Validate, WantsAUtsNamespaceForNames) {
  EXPECT_EQ(of_top(R"("hostname":"a")"),
            "config.json: hostname: needs a uts namespace: it would change the name of the host");
  EXPECT_EQ(of_top(R"("domainname":"a")"),
            "config.json: domainname: needs a uts namespace: it would change the name of the host");
  EXPECT_EQ(message_of("", R"("namespaces":[{"type":"uts"}])", R"("hostname":"a")"), "");
  EXPECT_EQ(message_of("", R"("namespaces":[{"type":"uts"}])",
                       cat("\"hostname\":\"", std::string(65, 'a'), "\"")),
            "config.json: hostname: 65 bytes are too long: allowed are 64");
}

TEST(Validate, RefusesBadNamespaces) {
  EXPECT_EQ(of_linux(R"("namespaces":[{"type":"pid"},{"type":"ipc"},{"type":"pid"}])"),
            "config.json: linux.namespaces[2]: the pid namespace is listed twice, first in "
            "namespaces[0]");
  EXPECT_EQ(of_linux(R"("namespaces":[{"type":"pid","path":"ns/pid"}])"),
            "config.json: linux.namespaces[0].path: the path must be absolute, found \"ns/pid\"");
}

TEST(Validate, HoldsIdMappingsTogether) {
  constexpr std::string_view kUser = R"("namespaces":[{"type":"user"}],)";
  auto of_user = [&](std::string_view rest) { return of_linux(cat(kUser, rest)); };
  constexpr std::string_view kGid = R"("gidMappings":[{"containerID":0,"hostID":1,"size":1}])";
  EXPECT_EQ(of_linux(cat(R"("uidMappings":[{"containerID":0,"hostID":1,"size":1}],)", kGid)),
            "config.json: linux.uidMappings: id mappings need a user namespace in "
            "linux.namespaces");
  EXPECT_EQ(of_user(R"("uidMappings":[{"containerID":0,"hostID":1,"size":1}])"),
            "config.json: linux.uidMappings: gidMappings are needed too");
  EXPECT_EQ(of_user(kGid), "config.json: linux.gidMappings: uidMappings are needed too");
  EXPECT_EQ(of_user(cat(R"("uidMappings":[{"containerID":0,"hostID":1,"size":0}],)", kGid)),
            "config.json: linux.uidMappings[0].size: the size must be above 0");
  EXPECT_EQ(
      of_user(cat(R"("uidMappings":[{"containerID":1,"hostID":0,"size":4294967295}],)", kGid)),
      "config.json: linux.uidMappings[0]: the mapping goes beyond the highest id, 4294967294");
  EXPECT_EQ(
      of_user(cat(R"("uidMappings":[{"containerID":0,"hostID":0,"size":4294967295}],)", kGid)), "");
  EXPECT_EQ(of_user(cat(R"("uidMappings":[{"containerID":0,"hostID":1,"size":5},
                                          {"containerID":9,"hostID":5,"size":1}],)",
                        kGid)),
            "config.json: linux.uidMappings[1]: the mapping overlaps with mapping 0");
}

TEST(Validate, HoldsMappingsOfMountsTogether) {
  EXPECT_EQ(of_top(R"("mounts":[{"destination":"/a"},
      {"destination":"/b","uidMappings":[{"containerID":0,"hostID":1,"size":1}]}])"),
            "config.json: mounts[1].uidMappings: gidMappings are needed too");
}

TEST(Validate, SetsClocksOfNewTimeNamespacesOnly) {
  EXPECT_EQ(of_linux(R"("timeOffsets":{"boottime":{"secs":1}})"),
            "config.json: linux.timeOffsets: clock offsets need a time namespace in "
            "linux.namespaces");
  EXPECT_EQ(of_linux(R"("timeOffsets":{"boottime":{"secs":1}},
                        "namespaces":[{"type":"time","path":"/t"}])"),
            "config.json: linux.timeOffsets: the clocks of a time namespace that is joined cannot "
            "be set");
  EXPECT_EQ(of_linux(R"("timeOffsets":{"boottime":{"secs":1}},"namespaces":[{"type":"time"}])"),
            "");
}

TEST(Validate, RefusesBadDevices) {
  EXPECT_EQ(of_linux(R"("devices":[{"path":"/dev/a","type":"c","major":4096,"minor":0}])"),
            "config.json: linux.devices[0].major: 4096 is out of range: allowed are 0 to 4095");
  EXPECT_EQ(of_linux(R"("devices":[{"path":"/dev/a","type":"b","major":0,"minor":-1}])"),
            "config.json: linux.devices[0].minor: -1 is out of range: allowed are 0 to 1048575");
  EXPECT_EQ(of_linux(R"("devices":[{"path":"/dev/a","type":"p","minor":-1}])"), "");
}

TEST(Validate, MovesNetworkDevicesIntoANetworkNamespaceOnly) {
  EXPECT_EQ(
      of_linux(R"("netDevices":{"eth0":{}})"),
      "config.json: linux.netDevices: unable to move network devices without a NET namespace");
  EXPECT_EQ(of_linux(R"("netDevices":{"eth0":{"name":"a/b"}},"namespaces":[{"type":"network"}])"),
            "config.json: linux.netDevices.eth0.name: \"a/b\" is an invalid network device "
            "name");
  EXPECT_EQ(of_linux(R"("netDevices":{"sixteen_letters_":{}},"namespaces":[{"type":"network"}])"),
            "config.json: linux.netDevices.sixteen_letters_: \"sixteen_letters_\" is an "
            "invalid network device name");
  EXPECT_EQ(of_linux(R"("netDevices":{"eth0":{"name":"n%d"}},"namespaces":[{"type":"network"}])"),
            "");
  EXPECT_THAT(of_linux(R"("netDevices":{"eth%d":{}},"namespaces":[{"type":"network"}])"),
              testing::HasSubstr("invalid"));
  for (const char* name : {"n%s", "n%", "%d%d"}) {
    EXPECT_THAT(of_linux(cat(R"("netDevices":{"eth0":{"name":")", name,
                             R"("}},"namespaces":[{"type":"network"}])")),
                testing::HasSubstr("invalid"));
  }
  EXPECT_EQ(of_linux(R"("netDevices":{"a":{"name":"b"},"b":{}},"namespaces":[{"type":"network"}])"),
            "config.json: linux.netDevices.b: it would be a second device \"b\" beside a");
}

TEST(Validate, KeepsCgroupPathsBelowTheirRoot) {
  EXPECT_EQ(of_linux(R"("cgroupsPath":"/a/../../b")"),
            "config.json: linux.cgroupsPath: the path must not contain \"..\", found "
            "\"/a/../../b\"");
  EXPECT_EQ(of_linux(R"("cgroupsPath":"/a..b/c")"), "");
  EXPECT_EQ(of_linux(R"("resources":{"unified":{"../x":"1"}})"),
            "config.json: linux.resources.unified[\"../x\"]: \"../x\" is not the name of a cgroup "
            "file");
}

TEST(Validate, HoldsSwapToMemory) {
  EXPECT_EQ(of_linux(R"("resources":{"memory":{"swap":1}})"),
            "config.json: linux.resources.memory.swap: unable to set swap limit without memory "
            "limit");
  EXPECT_EQ(of_linux(R"("resources":{"memory":{"limit":2,"swap":1}})"),
            "config.json: linux.resources.memory.swap: memory+swap limit should be >= memory "
            "limit");
  for (auto good : {R"("limit":2,"swap":2)", R"("limit":-1,"swap":2)", R"("limit":2,"swap":-1)",
                    R"("swap":-1)", R"("swap":0)"}) {
    EXPECT_EQ(of_linux(cat(R"("resources":{"memory":{)", good, "}}")), "");
  }
}

TEST(Validate, RefusesBadResources) {
  EXPECT_EQ(of_linux(R"("resources":{"blockIO":{"weight":9}})"),
            "config.json: linux.resources.blockIO.weight: 9 is out of range: allowed are 10 to "
            "1000");
  EXPECT_EQ(
      of_linux(
          R"("resources":{"blockIO":{"weightDevice":[{"major":8,"minor":0,"leafWeight":1001}]}})"),
      "config.json: linux.resources.blockIO.weightDevice[0].leafWeight: 1001 is out of "
      "range: allowed are 10 to 1000");
  EXPECT_EQ(of_linux(R"("resources":{"rdma":{"mlx5":{}}})"),
            "config.json: linux.resources.rdma.mlx5: one of hcaHandles and hcaObjects is "
            "needed");
}

TEST(Validate, SetsKernelParametersOfOwnNamespacesOnly) {
  auto with = [](std::string_view kind, std::string_view name) {
    return of_linux(cat(R"("namespaces":[)", kind.empty() ? "" : "{\"type\":\"", kind,
                        kind.empty() ? "" : "\"}", R"(],"sysctl":{")", name, R"(":"1"})"));
  };
  auto at = [](std::string_view name) {
    std::string path = "linux.sysctl";
    formats::append_member(path, name);
    return path;
  };
  struct Allowed {
    std::string_view kind, name;
  };
  for (const auto& [kind, name] :
       {Allowed{"ipc", "kernel.msgmax"}, Allowed{"ipc", "kernel/shm_rmid_forced"},
        Allowed{"ipc", "fs.mqueue.msg_max"}, Allowed{"network", "net.ipv4.ip_forward"},
        Allowed{"network", "net/ipv4/conf/eth0.1/forwarding"},
        Allowed{"network", "net.ipv4.conf.eth0/1.forwarding"}, Allowed{"uts", "kernel.domainname"},
        Allowed{"user", "user.max_user_namespaces"}}) {
    EXPECT_EQ(with(kind, name), "");
    EXPECT_EQ(with("", name),
              cat("config.json: ", at(name), ": the parameter needs the namespace \"", kind,
                  "\" in linux.namespaces: it would change the host"));
  }
  EXPECT_EQ(
      with("uts", "kernel.hostname"),
      "config.json: linux.sysctl[\"kernel.hostname\"]: the field hostname sets the host name");
  for (std::string_view name :
       {"vm.swappiness", "kernel.panic", "fs.file-max", "network.x", "net"}) {
    EXPECT_EQ(with("network", name), cat("config.json: ", at(name),
                                         ": the parameter belongs to no namespace: it would "
                                         "change the host"));
  }
  for (std::string_view name :
       {"net/../kernel/panic", "net.//.kernel.panic", "net..x", "", "net/./x", "/net/x"}) {
    EXPECT_EQ(with("network", name), cat("config.json: ", at(name), ": \"", name,
                                         "\" is not the name of a kernel parameter"));
  }
}

TEST(Validate, RefusesBadSeccomp) {
  EXPECT_EQ(of_linux(R"("seccomp":{"defaultAction":"SCMP_ACT_ALLOW","listenerMetadata":"x"})"),
            "config.json: linux.seccomp.listenerMetadata: metadata for a listener need "
            "listenerPath");
  EXPECT_EQ(of_linux(R"("seccomp":{"defaultAction":"SCMP_ACT_ALLOW","defaultErrnoRet":1})"),
            "config.json: linux.seccomp.defaultErrnoRet: SCMP_ACT_ALLOW takes no errno");
  EXPECT_EQ(of_linux(R"("seccomp":{"defaultAction":"SCMP_ACT_NOTIFY"})"),
            "config.json: linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be the default: "
            "even the start of the container would wait");
  EXPECT_EQ(of_linux(R"("seccomp":{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,
      "syscalls":[{"names":["a"],"action":"SCMP_ACT_TRACE","errnoRet":1},
                  {"names":["a"],"action":"SCMP_ACT_KILL","errnoRet":1}]})"),
            "config.json: linux.seccomp.syscalls[1].errnoRet: SCMP_ACT_KILL takes no errno");
}

TEST(Validate, WantsAbsoluteMaskedPaths) {
  EXPECT_EQ(of_linux(R"("maskedPaths":["/a","b"])"),
            "config.json: linux.maskedPaths[1]: the path must be absolute, found \"b\"");
  EXPECT_EQ(of_linux(R"("readonlyPaths":[""])"),
            "config.json: linux.readonlyPaths[0]: the path must be absolute, found \"\"");
}

TEST(Validate, RefusesBadClassesOfService) {
  EXPECT_EQ(of_linux(R"("intelRdt":{"closID":"/"})"), "");
  EXPECT_EQ(of_linux(R"("intelRdt":{"closID":"../x"})"),
            "config.json: linux.intelRdt.closID: \"../x\" is not the name of a class of service");
}

TEST(Validate, HoldsMemoryPoliciesToTheirMode) {
  EXPECT_EQ(of_linux(R"("memoryPolicy":{"mode":"MPOL_PREFERRED"})"), "");
  EXPECT_EQ(of_linux(R"("memoryPolicy":{"mode":"MPOL_LOCAL","nodes":"0"})"),
            "config.json: linux.memoryPolicy.nodes: MPOL_LOCAL takes no nodes");
  EXPECT_EQ(of_linux(R"("memoryPolicy":{"mode":"MPOL_DEFAULT","flags":["MPOL_F_STATIC_NODES"]})"),
            "config.json: linux.memoryPolicy.flags: MPOL_DEFAULT takes no flags");
  EXPECT_EQ(of_linux(R"("memoryPolicy":{"mode":"MPOL_BIND"})"),
            "config.json: linux.memoryPolicy.nodes: MPOL_BIND needs nodes");
  EXPECT_EQ(of_linux(R"("memoryPolicy":{"mode":"MPOL_BIND","nodes":"0",
      "flags":["MPOL_F_STATIC_NODES","MPOL_F_RELATIVE_NODES"]})"),
            "config.json: linux.memoryPolicy.flags: MPOL_F_STATIC_NODES and "
            "MPOL_F_RELATIVE_NODES exclude each other");
}

}  // namespace
}  // namespace caisson::spec
