// The "linux" object, as oci_writer.h writes it.
#include "spec/names.h"
#include "spec/oci_writer_fields.h"

namespace caisson::spec {

static void write_value(JsonWriter& json, const Namespace& entry) {
  json.begin_object().field("type", namespace_name(entry.kind));
  put_unless_default(json, "path", entry.path);
  json.end_object();
}

static void write_value(JsonWriter& json, const TimeOffset& offset) {
  json.begin_object();
  put_unless_default(json, "secs", offset.seconds);
  put_unless_default(json, "nanosecs", offset.nanoseconds);
  json.end_object();
}

static void write_value(JsonWriter& json, const Device& device) {
  json.begin_object().field("path", device.path);
  json.field("type", std::string_view(&device.type, 1));
  put(json, "major", device.major);
  put(json, "minor", device.minor);
  put(json, "fileMode", device.file_mode);
  put(json, "uid", device.uid);
  put(json, "gid", device.gid);
  json.end_object();
}

static void write_value(JsonWriter& json, const IntelRdt& rdt) {
  json.begin_object();
  put_unless_default(json, "closID", rdt.clos_id);
  put_unless_default(json, "schemata", rdt.schemata);
  put_unless_default(json, "l3CacheSchema", rdt.l3_cache_schema);
  put_unless_default(json, "memBwSchema", rdt.mem_bw_schema);
  put_unless_default(json, "enableMonitoring", rdt.enable_monitoring);
  json.end_object();
}

static void write_value(JsonWriter& json, const MemoryPolicy& policy) {
  json.begin_object().field("mode", policy.mode);
  put_unless_default(json, "nodes", policy.nodes);
  put_unless_default(json, "flags", policy.flags);
  json.end_object();
}

static void write_net_devices(JsonWriter& json, const std::map<std::string, std::string>& devices) {
  if (devices.empty()) return;
  json.key("netDevices").begin_object();
  for (const auto& [host_name, name] : devices) {
    json.key(host_name).begin_object();
    put_unless_default(json, "name", name);
    json.end_object();
  }
  json.end_object();
}

// --- resources

static void write_value(JsonWriter& json, const DeviceRule& rule) {
  json.begin_object().field("allow", rule.allow).field("type", std::string_view(&rule.type, 1));
  put(json, "major", rule.major);
  put(json, "minor", rule.minor);
  put_unless_default(json, "access", rule.access);
  json.end_object();
}

static void write_value(JsonWriter& json, const MemoryResources& memory) {
  json.begin_object();
  put(json, "limit", memory.limit);
  put(json, "reservation", memory.reservation);
  put(json, "swap", memory.swap);
  put(json, "kernel", memory.kernel);
  put(json, "kernelTCP", memory.kernel_tcp);
  put(json, "swappiness", memory.swappiness);
  put(json, "disableOOMKiller", memory.disable_oom_killer);
  put(json, "useHierarchy", memory.use_hierarchy);
  put(json, "checkBeforeUpdate", memory.check_before_update);
  json.end_object();
}

static void write_value(JsonWriter& json, const CpuResources& cpu) {
  json.begin_object();
  put(json, "shares", cpu.shares);
  put(json, "quota", cpu.quota);
  put(json, "burst", cpu.burst);
  put(json, "period", cpu.period);
  put(json, "realtimeRuntime", cpu.realtime_runtime);
  put(json, "realtimePeriod", cpu.realtime_period);
  put(json, "cpus", cpu.cpus);
  put(json, "mems", cpu.mems);
  put(json, "idle", cpu.idle);
  json.end_object();
}

static void write_value(JsonWriter& json, const WeightDevice& device) {
  json.begin_object().field("major", device.major).field("minor", device.minor);
  put(json, "weight", device.weight);
  put(json, "leafWeight", device.leaf_weight);
  json.end_object();
}

static void write_value(JsonWriter& json, const ThrottleDevice& device) {
  json.begin_object().field("major", device.major).field("minor", device.minor);
  json.field("rate", device.rate).end_object();
}

static void write_value(JsonWriter& json, const BlockIoResources& block_io) {
  json.begin_object();
  put(json, "weight", block_io.weight);
  put(json, "leafWeight", block_io.leaf_weight);
  put_unless_default(json, "weightDevice", block_io.weight_devices);
  put_unless_default(json, "throttleReadBpsDevice", block_io.read_bps);
  put_unless_default(json, "throttleWriteBpsDevice", block_io.write_bps);
  put_unless_default(json, "throttleReadIOPSDevice", block_io.read_iops);
  put_unless_default(json, "throttleWriteIOPSDevice", block_io.write_iops);
  json.end_object();
}

static void write_value(JsonWriter& json, const HugepageLimit& limit) {
  json.begin_object().field("pageSize", limit.page_size).field("limit", limit.limit).end_object();
}

static void write_value(JsonWriter& json, const NetworkPriority& priority) {
  json.begin_object().field("name", priority.name);
  json.field("priority", priority.priority).end_object();
}

static void write_value(JsonWriter& json, const NetworkResources& network) {
  json.begin_object();
  put(json, "classID", network.class_id);
  put_unless_default(json, "priorities", network.priorities);
  json.end_object();
}

static void write_value(JsonWriter& json, const RdmaLimit& limit) {
  json.begin_object();
  put(json, "hcaHandles", limit.hca_handles);
  put(json, "hcaObjects", limit.hca_objects);
  json.end_object();
}

void write_value(JsonWriter& json, const Resources& resources) {
  json.begin_object();
  put_unless_default(json, "devices", resources.devices);
  put(json, "memory", resources.memory);
  put(json, "cpu", resources.cpu);
  if (resources.pids_limit) {
    json.key("pids").begin_object().field("limit", *resources.pids_limit).end_object();
  }
  put(json, "blockIO", resources.block_io);
  put_unless_default(json, "hugepageLimits", resources.hugepage_limits);
  put(json, "network", resources.network);
  put_unless_default(json, "rdma", resources.rdma);
  put_unless_default(json, "unified", resources.unified);
  json.end_object();
}

// --- seccomp

static void write_value(JsonWriter& json, const SeccompArg& arg) {
  json.begin_object().field("index", arg.index).field("value", arg.value);
  put_unless_default(json, "valueTwo", arg.value_two);
  json.field("op", arg.op).end_object();
}

static void write_value(JsonWriter& json, const SeccompRule& rule) {
  json.begin_object().field("names", rule.names).field("action", rule.action);
  put(json, "errnoRet", rule.errno_ret);
  put_unless_default(json, "args", rule.args);
  json.end_object();
}

void write_value(JsonWriter& json, const Seccomp& seccomp) {
  json.begin_object().field("defaultAction", seccomp.default_action);
  put(json, "defaultErrnoRet", seccomp.default_errno_ret);
  put_unless_default(json, "architectures", seccomp.architectures);
  put(json, "flags", seccomp.flags);
  put_unless_default(json, "listenerPath", seccomp.listener_path);
  put_unless_default(json, "listenerMetadata", seccomp.listener_metadata);
  put_unless_default(json, "syscalls", seccomp.rules);
  json.end_object();
}

// --- the whole

void write_value(JsonWriter& json, const Linux& part) {
  json.begin_object();
  put_unless_default(json, "uidMappings", part.uid_mappings);
  put_unless_default(json, "gidMappings", part.gid_mappings);
  put_unless_default(json, "sysctl", part.sysctl);
  put_unless_default(json, "resources", part.resources);
  put_unless_default(json, "cgroupsPath", part.cgroups_path);
  put_unless_default(json, "namespaces", part.namespaces);
  put_unless_default(json, "timeOffsets", part.time_offsets);
  put_unless_default(json, "devices", part.devices);
  write_net_devices(json, part.net_devices);
  put(json, "seccomp", part.seccomp);
  put_unless_default(json, "rootfsPropagation", part.rootfs_propagation);
  put_unless_default(json, "maskedPaths", part.masked_paths);
  put_unless_default(json, "readonlyPaths", part.readonly_paths);
  put_unless_default(json, "mountLabel", part.mount_label);
  put(json, "intelRdt", part.intel_rdt);
  if (part.personality) {
    json.key("personality").begin_object().field("domain", *part.personality).end_object();
  }
  put(json, "memoryPolicy", part.memory_policy);
  json.end_object();
}

}  // namespace caisson::spec
