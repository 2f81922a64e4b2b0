// What the OCI reader refuses, with the whole text of each error.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "spec/oci_config.h"
#include "spec/testdata.h"

namespace caisson::spec {
namespace {

struct Refused {
  std::string_view text, message;
};

std::string message_of(std::string_view text) {
  auto spec = read_oci_config(text, "/bundle");
  return spec ? "accepted" : spec.error().message();
}

// The text of a config with `members` beside the version, on line 2.
std::string with_members(std::string_view members) {
  return cat("{\"ociVersion\": \"1.3.0\",\n", members, "}");
}

void expect_refusals(std::initializer_list<Refused> cases) {
  for (const auto& [members, message] : cases) {
    EXPECT_EQ(message_of(with_members(members)), cat("config.json:2:", message)) << members;
  }
}

TEST(OciRefusals, OfVersions) {
  const Refused cases[] = {
      {"", "config.json:1:1: expected a value, found the end"},
      {"[]", "config.json:1:1: expected an object, found an array"},
      {"{}", "config.json:1:1: the field \"ociVersion\" is missing"},
      {"{\"ociVersion\": null}", "config.json:1:1: the field \"ociVersion\" is missing"},
      {"{\"ociVersion\": 1}",
       "config.json:1:16: ociVersion: expected a string, found the number 1"},
      {"{\"ociVersion\": \"1.0\"}",
       "config.json:1:16: ociVersion: \"1.0\" is not a version: expected MAJOR.MINOR.PATCH, like "
       "1.3.0"},
      {"{\"ociVersion\": \"v1.0.0\"}",
       "config.json:1:16: ociVersion: \"v1.0.0\" is not a version: expected MAJOR.MINOR.PATCH, "
       "like 1.3.0"},
      {"{\"ociVersion\": \"1.0.01\"}",
       "config.json:1:16: ociVersion: \"1.0.01\" is not a version: expected MAJOR.MINOR.PATCH, "
       "like 1.3.0"},
      {"{\"ociVersion\": \"1.0.0-\"}",
       "config.json:1:16: ociVersion: \"1.0.0-\" is not a version: expected MAJOR.MINOR.PATCH, "
       "like 1.3.0"},
      {"{\"ociVersion\": \"2.0.0\"}",
       "config.json:1:16: ociVersion: version \"2.0.0\" of the OCI runtime specification is not "
       "supported: allowed are versions 1.x.y"},
      {"{\"ociVersion\": \"1.3.0\"} x",
       "config.json:1:25: expected nothing after the JSON value, found \"x\""},
  };
  for (const auto& [text, message] : cases) EXPECT_EQ(message_of(text), message) << text;
}

TEST(OciRefusals, OfTheTopLevel) {
  expect_refusals({
      {R"("hostname": 5)", "13: hostname: expected a string, found the number 5"},
      {R"("hostname": "a\u0000b")", "13: hostname: a NUL character is not allowed here"},
      {R"("root": "rootfs")", "9: root: expected an object, found the string \"rootfs\""},
      {R"("root": {"readonly": 1})",
       "22: root.readonly: expected true or false, found the number 1"},
      {R"("annotations": {"": "x"})", "21: annotations[\"\"]: the name of an annotation is empty"},
      {R"("annotations": {"a.b": 1})",
       "24: annotations[\"a.b\"]: expected a string, found the number 1"},
      {R"("annotations": {"org.caisson.root": "host"})",
       "37: annotations[\"org.caisson.root\"]: \"host\" is not a kind of root: allowed are "
       "machine-view"},
      {R"("mounts": {})", "11: mounts: expected an array, found an object"},
      {R"("mounts": [{"type": "proc"}])", "12: mounts[0]: the field \"destination\" is missing"},
      {R"("mounts": [{"destination": ""}])",
       "28: mounts[0].destination: the destination of a mount is empty"},
      {R"("mounts": [{"destination": "/a", "options": ["ro", 1]}])",
       "52: mounts[0].options[1]: expected a string, found the number 1"},
      {R"("mounts": [{"destination": "/a", "uidMappings": [{"hostID": 1, "size": 1}]}])",
       "50: mounts[0].uidMappings[0]: the field \"containerID\" is missing"},
      {R"("hooks": {"prestart": [{"path": "bin/x"}]})",
       "33: hooks.prestart[0].path: the path of a hook must be absolute, found \"bin/x\""},
      {R"("hooks": {"poststop": [{"path": "/x", "timeout": 0}]})",
       "50: hooks.poststop[0].timeout: 0 is out of range: allowed are 1 to 2147483647"},
      {R"("hooks": {"poststop": [{"args": ["x"]}]})",
       "24: hooks.poststop[0]: the field \"path\" is missing"},
  });
}

TEST(OciRefusals, OfProcesses) {
  expect_refusals({
      {R"("process": {"args": ["sh", 5]})",
       "28: process.args[1]: expected a string, found the number 5"},
      {R"("process": {"args": ["sh",]})",
       "27: process.args[0]: expected another value after the comma, found \"]\""},
      {R"("process": {"env": ["PATH"]})",
       "21: process.env[0]: \"PATH\" is not an environment variable: expected NAME=value"},
      {R"("process": {"env": ["=x"]})",
       "21: process.env[0]: \"=x\" is not an environment variable: expected NAME=value"},
      {R"("process": {"terminal": "yes"})",
       "25: process.terminal: expected true or false, found the string \"yes\""},
      {R"("process": {"user": {"uid": -1}})",
       "29: process.user.uid: -1 is out of range: allowed are 0 to 4294967295"},
      {R"("process": {"user": {"uid": 1.0}})",
       "29: process.user.uid: expected an integer without fraction and exponent, found the number "
       "1.0"},
      {R"("process": {"user": {"uid": 0, "umask": 0022}})",
       "41: process.user.umask: a number must not begin with 0"},
      {R"("process": {"user": {"uid": 0, "umask": 512}})",
       "41: process.user.umask: 512 is out of range: allowed are 0 to 511"},
      {R"("process": {"consoleSize": {"height": 24}})",
       "28: process.consoleSize: the field \"width\" is missing"},
      {R"("process": {"rlimits": [{"type": "RLIMIT_NOFILES", "soft": 1, "hard": 1}]})",
       "34: process.rlimits[0].type: \"RLIMIT_NOFILES\" is not a resource limit: allowed are "
       "RLIMIT_AS, RLIMIT_CORE, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_LOCKS, "
       "RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE, RLIMIT_NICE, RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_RSS, "
       "RLIMIT_RTPRIO, RLIMIT_RTTIME, RLIMIT_SIGPENDING, RLIMIT_STACK"},
      {R"("process": {"rlimits": [{"type": "RLIMIT_CORE", "soft": 1}]})",
       "25: process.rlimits[0]: the field \"hard\" is missing"},
      {R"("process": {"oomScoreAdj": 1001})",
       "28: process.oomScoreAdj: 1001 is out of range: allowed are -1000 to 1000"},
      {R"("process": {"scheduler": {"policy": "SCHED_FAIR"}})",
       "37: process.scheduler.policy: \"SCHED_FAIR\" is not a scheduling policy: allowed are "
       "SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_ISO, SCHED_IDLE, SCHED_DEADLINE"},
      {R"("process": {"scheduler": {"policy": "SCHED_OTHER", "nice": 20}})",
       "60: process.scheduler.nice: 20 is out of range: allowed are -20 to 19"},
      {R"("process": {"ioPriority": {"class": "IOPRIO_CLASS_NONE"}})",
       "37: process.ioPriority.class: \"IOPRIO_CLASS_NONE\" is not a class of I/O priority: "
       "allowed are IOPRIO_CLASS_RT, IOPRIO_CLASS_BE, IOPRIO_CLASS_IDLE"},
      {R"("process": {"ioPriority": {"class": "IOPRIO_CLASS_RT", "priority": 8}})",
       "68: process.ioPriority.priority: 8 is out of range: allowed are 0 to 7"},
      {R"("process": {"execCPUAffinity": {"initial": "3-1"}})",
       "44: process.execCPUAffinity.initial: \"3-1\" is not a list of numbers and ranges like "
       "\"0-3,7\""},
  });
}

TEST(OciRefusals, OfTheLinuxPart) {
  expect_refusals({
      {R"("linux": {"namespaces": [{"type": "netwrk"}]})",
       "35: linux.namespaces[0].type: \"netwrk\" is not a namespace type: allowed are pid, "
       "network, mount, ipc, uts, user, cgroup, time"},
      {R"("linux": {"namespaces": [{"path": "/proc/1/ns/net"}]})",
       "26: linux.namespaces[0]: the field \"type\" is missing"},
      {R"("linux": {"timeOffsets": {"realtime": {"secs": 1}}})",
       "26: linux.timeOffsets: \"realtime\" is not a clock of a time namespace: allowed are "
       "monotonic, boottime"},
      {R"("linux": {"timeOffsets": {"boottime": {"nanosecs": 1000000000}}})",
       "52: linux.timeOffsets.boottime.nanosecs: 1000000000 is out of range: allowed are 0 to "
       "999999999"},
      {R"("linux": {"devices": [{"path": "/dev/x", "type": "d"}]})",
       "50: linux.devices[0].type: \"d\" is not a device type: allowed are c, b, u, p"},
      {R"("linux": {"devices": [{"path": "dev/x", "type": "c"}]})",
       "32: linux.devices[0].path: the path of a device must be absolute, found \"dev/x\""},
      {R"("linux": {"netDevices": {"eth0": "eth1"}})",
       "34: linux.netDevices.eth0: expected an object, found the string \"eth1\""},
      {R"("linux": {"sysctl": {"net.core.somaxconn": 128}})",
       "44: linux.sysctl[\"net.core.somaxconn\"]: expected a string, found the number 128"},
      {R"("linux": {"rootfsPropagation": "sharde"})",
       "32: linux.rootfsPropagation: \"sharde\" is not a mount propagation: allowed are shared, "
       "slave, private, unbindable, rshared, rslave, rprivate, runbindable"},
      {R"("linux": {"personality": {"domain": "LINUX64"}})",
       "37: linux.personality.domain: \"LINUX64\" is not a personality: allowed are LINUX, "
       "LINUX32"},
      {R"("linux": {"personality": {"domain": "LINUX", "flags": ["X"]}})",
       "56: linux.personality.flags[0]: no flag of a personality is supported"},
      {R"("linux": {"memoryPolicy": {"mode": "MPOL_BOND"}})",
       "36: linux.memoryPolicy.mode: \"MPOL_BOND\" is not a memory policy: allowed are "
       "MPOL_DEFAULT, MPOL_BIND, MPOL_INTERLEAVE, MPOL_WEIGHTED_INTERLEAVE, MPOL_PREFERRED, "
       "MPOL_PREFERRED_MANY, MPOL_LOCAL"},
      {R"("linux": {"uidMappings": [{"containerID": 0, "hostID": 4294967296, "size": 1}]})",
       "56: linux.uidMappings[0].hostID: 4294967296 is out of range: allowed are 0 to 4294967295"},
  });
}

TEST(OciRefusals, OfResources) {
  expect_refusals({
      {R"("linux": {"resources": {"memory": {"limit": "64m"}}})",
       "45: linux.resources.memory.limit: expected an integer, found the string \"64m\""},
      {R"("linux": {"resources": {"memory": {"limit": 1e9}}})",
       "45: linux.resources.memory.limit: expected an integer without fraction and exponent, "
       "found the number 1e9"},
      {R"("linux": {"resources": {"memory": {"swappiness": 101}}})",
       "50: linux.resources.memory.swappiness: 101 is out of range: allowed are 0 to 100"},
      {R"("linux": {"resources": {"cpu": {"cpus": "all but 3"}}})",
       "41: linux.resources.cpu.cpus: \"all but 3\" is not a list of numbers and ranges like "
       "\"0-3,7\""},
      {R"("linux": {"resources": {"cpu": {"idle": 2}}})",
       "41: linux.resources.cpu.idle: 2 is out of range: allowed are 0 to 1"},
      {R"("linux": {"resources": {"pids": {"limit": -2}}})",
       "43: linux.resources.pids.limit: -2 is out of range: allowed are -1 to "
       "9223372036854775807"},
      {R"("linux": {"resources": {"devices": [{"type": "c"}]}})",
       "37: linux.resources.devices[0]: the field \"allow\" is missing"},
      {R"("linux": {"resources": {"devices": [{"allow": true, "access": "rx"}]}})",
       "63: linux.resources.devices[0].access: \"rx\" is not an access: allowed are r, w, m "
       "together"},
      {R"("linux": {"resources": {"devices": [{"allow": true, "type": "p"}]}})",
       "61: linux.resources.devices[0].type: \"p\" is not a device type: allowed are a, b, c"},
      {R"("linux": {"resources": {"blockIO": {"weight": 65536}}})",
       "47: linux.resources.blockIO.weight: 65536 is out of range: allowed are 0 to 65535"},
      {R"("linux": {"resources": {"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0}]}}})",
       "63: linux.resources.blockIO.throttleReadBpsDevice[0]: the field \"rate\" is missing"},
      {R"("linux": {"resources": {"hugepageLimits": [{"pageSize": "2M", "limit": 1}]}})",
       "57: linux.resources.hugepageLimits[0].pageSize: \"2M\" is not a page size: expected a "
       "number and KB, MB or GB"},
      {R"("linux": {"resources": {"rdma": {"mlx": {"hcaHandles": -1}}}})",
       "56: linux.resources.rdma.mlx.hcaHandles: -1 is out of range: allowed are 0 to "
       "4294967295"},
      {R"("linux": {"resources": {"unified": {"memory.high": 1}}})",
       "52: linux.resources.unified[\"memory.high\"]: expected a string, found the number 1"},
  });
}

TEST(OciRefusals, OfSeccomp) {
  expect_refusals({
      {R"("linux": {"seccomp": {}})", "22: linux.seccomp: the field \"defaultAction\" is missing"},
      {R"("linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALOW"}})",
       "40: linux.seccomp.defaultAction: \"SCMP_ACT_ALOW\" is not a seccomp action: allowed are "
       "SCMP_ACT_KILL, SCMP_ACT_KILL_PROCESS, SCMP_ACT_KILL_THREAD, SCMP_ACT_TRAP, "
       "SCMP_ACT_ERRNO, SCMP_ACT_TRACE, SCMP_ACT_ALLOW, SCMP_ACT_LOG, SCMP_ACT_NOTIFY"},
      {R"("linux": {"seccomp": {"defaultAction": "SCMP_ACT_KILL", "flags": ["LOG"]}})",
       "67: linux.seccomp.flags[0]: \"LOG\" is not a seccomp flag: allowed are "
       "SECCOMP_FILTER_FLAG_TSYNC, SECCOMP_FILTER_FLAG_LOG, SECCOMP_FILTER_FLAG_SPEC_ALLOW, "
       "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"},
      {R"("linux": {"seccomp": {"defaultAction": "SCMP_ACT_KILL", "syscalls": [{"action": "SCMP_ACT_ALLOW"}]}})",
       "70: linux.seccomp.syscalls[0]: the field \"names\" is missing"},
      {R"("linux": {"seccomp": {"defaultAction": "SCMP_ACT_KILL", "syscalls": [{"names": []}]}})",
       "80: linux.seccomp.syscalls[0].names: a seccomp rule must name a system call"},
      {R"("linux": {"seccomp": {"defaultAction": "SCMP_ACT_KILL", "syscalls": [{"names": ["a"]}]}})",
       "70: linux.seccomp.syscalls[0]: the field \"action\" is missing"},
      {R"("linux": {"seccomp": {"defaultAction": "SCMP_ACT_KILL", "syscalls": [{"args": [{"index": 6}]}]}})",
       "90: linux.seccomp.syscalls[0].args[0].index: 6 is out of range: allowed are 0 to 5"},
      {R"("linux": {"seccomp": {"defaultAction": "SCMP_ACT_KILL", "syscalls": [{"args": [{"op": "EQ"}]}]}})",
       "87: linux.seccomp.syscalls[0].args[0].op: \"EQ\" is not a seccomp operator: allowed are "
       "SCMP_CMP_NE, SCMP_CMP_LT, SCMP_CMP_LE, SCMP_CMP_EQ, SCMP_CMP_GE, SCMP_CMP_GT, "
       "SCMP_CMP_MASKED_EQ"},
  });
}

}  // namespace
}  // namespace caisson::spec
