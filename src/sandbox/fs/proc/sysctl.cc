// /proc/sys (sysctl(8)): what programs read of it, and the few that Linux lets a container write.
#include <linux/capability.h>

#include <array>
#include <cerrno>
#include <memory>

#include "base/text.h"
#include "sandbox/fs/proc/proc.h"
#include "sys/call.h"

namespace caisson::sandbox::fs {
namespace {

struct Constant {
  std::string_view path, text;
};
constexpr Constant kConstants[] = {
    {"kernel/ostype", "Linux"},
    {"kernel/threads-max", "4194304"},
    {"kernel/cap_last_cap", "40"},
    {"kernel/ngroups_max", "65536"},
    {"kernel/overflowuid", "65534"},
    {"kernel/overflowgid", "65534"},
    {"kernel/random/entropy_avail", "256"},
    {"kernel/random/poolsize", "256"},
    {"kernel/randomize_va_space", "2"},
    {"kernel/perf_event_paranoid", "4"},
    {"kernel/kptr_restrict", "2"},
    {"kernel/dmesg_restrict", "1"},
    {"kernel/yama/ptrace_scope", "1"},
    {"kernel/unprivileged_bpf_disabled", "2"},
    {"kernel/seccomp/actions_avail", "kill_process kill_thread trap errno trace log allow"},
    {"kernel/seccomp/actions_logged", ""},
    {"kernel/core_pattern", "core"},
    {"kernel/core_uses_pid", "0"},
    {"kernel/sched_child_runs_first", "0"},
    {"kernel/sched_autogroup_enabled", "0"},
    {"kernel/tainted", "0"},
    {"kernel/modules_disabled", "1"},
    {"kernel/panic", "0"},
    {"kernel/printk", "4\t4\t1\t7"},
    {"kernel/shmmax", "18446744073692774399"},
    {"kernel/shmall", "18446744073692774399"},
    {"kernel/shmmni", "4096"},
    {"kernel/sem", "32000\t1024000000\t500\t32000"},
    {"kernel/msgmax", "8192"},
    {"kernel/msgmnb", "16384"},
    {"kernel/msgmni", "32000"},
    {"kernel/keys/root_maxkeys", "1000000"},
    {"fs/file-max", "9223372036854775807"},
    {"fs/nr_open", "1048576"},
    {"fs/file-nr", "0\t0\t9223372036854775807"},
    {"fs/aio-max-nr", "65536"},
    {"fs/aio-nr", "0"},
    {"fs/pipe-max-size", "1048576"},
    {"fs/pipe-user-pages-soft", "16384"},
    {"fs/pipe-user-pages-hard", "0"},
    {"fs/overflowuid", "65534"},
    {"fs/overflowgid", "65534"},
    {"fs/suid_dumpable", "0"},
    {"fs/protected_hardlinks", "1"},
    {"fs/protected_symlinks", "1"},
    {"fs/protected_fifos", "1"},
    {"fs/protected_regular", "2"},
    {"fs/mount-max", "100000"},
    {"fs/lease-break-time", "45"},
    {"fs/inotify/max_user_instances", "128"},
    {"fs/inotify/max_user_watches", "524288"},
    {"fs/inotify/max_queued_events", "16384"},
    {"fs/epoll/max_user_watches", "3709952"},
    {"fs/mqueue/msg_max", "10"},
    {"fs/mqueue/msgsize_max", "8192"},
    {"fs/mqueue/queues_max", "256"},
    {"vm/overcommit_memory", "1"},
    {"vm/overcommit_ratio", "50"},
    {"vm/overcommit_kbytes", "0"},
    {"vm/max_map_count", "65530"},
    {"vm/mmap_min_addr", "65536"},
    {"vm/swappiness", "60"},
    {"vm/nr_hugepages", "0"},
    {"vm/dirty_ratio", "20"},
    {"vm/dirty_background_ratio", "10"},
    {"vm/vfs_cache_pressure", "100"},
    {"vm/min_free_kbytes", "67584"},
    {"vm/page-cluster", "3"},
    {"vm/panic_on_oom", "0"},
    {"vm/oom_kill_allocating_task", "0"},
    {"net/core/somaxconn", "4096"},
    {"net/core/netdev_max_backlog", "1000"},
    {"net/core/rmem_default", "212992"},
    {"net/core/rmem_max", "212992"},
    {"net/core/wmem_default", "212992"},
    {"net/core/wmem_max", "212992"},
    {"net/core/optmem_max", "131072"},
    {"net/unix/max_dgram_qlen", "512"},
    {"net/ipv4/ip_forward", "0"},
    {"net/ipv4/ip_local_port_range", "32768\t60999"},
    {"net/ipv4/ip_unprivileged_port_start", "1024"},
    {"net/ipv4/ip_default_ttl", "64"},
    {"net/ipv4/ping_group_range", "1\t0"},
    {"net/ipv4/tcp_syncookies", "1"},
    {"net/ipv4/tcp_fin_timeout", "60"},
    {"net/ipv4/tcp_tw_reuse", "2"},
    {"net/ipv4/tcp_keepalive_time", "7200"},
    {"net/ipv4/tcp_keepalive_intvl", "75"},
    {"net/ipv4/tcp_keepalive_probes", "9"},
    {"net/ipv4/tcp_max_syn_backlog", "512"},
    {"net/ipv4/tcp_rmem", "4096\t131072\t6291456"},
    {"net/ipv4/tcp_wmem", "4096\t16384\t4194304"},
    {"net/ipv4/tcp_sack", "1"},
    {"net/ipv4/tcp_timestamps", "1"},
    {"net/ipv4/tcp_window_scaling", "1"},
    {"net/ipv4/tcp_congestion_control", "cubic"},
    {"net/ipv4/tcp_available_congestion_control", "reno cubic"},
    {"net/ipv4/tcp_allowed_congestion_control", "reno cubic"},
    {"net/ipv4/conf/all/forwarding", "0"},
    {"net/ipv4/conf/default/forwarding", "0"},
    {"net/ipv4/conf/lo/forwarding", "0"},
    {"net/ipv6/conf/all/disable_ipv6", "0"},
    {"net/ipv6/conf/default/disable_ipv6", "0"},
    {"net/ipv6/conf/lo/disable_ipv6", "0"},
    {"net/ipv6/conf/all/forwarding", "0"},
};

constexpr std::uint32_t kWritable = 0644;
constexpr std::size_t kNameLimit = 64;  // __NEW_UTS_LEN

// --- names of the uts namespace

enum class UtsName : std::uint8_t { kHost, kDomain };

ErrnoOr<std::string> uts_name(vfs::Caller& caller, UtsName which) {
  kernel::UtsNamespace& uts = task_of(caller).uts();
  return cat(which == UtsName::kHost ? uts.host_name() : uts.domain_name(), '\n');
}

ErrnoOr<> set_uts_name(std::string_view text, vfs::Caller& caller, UtsName which) {
  if (!caller.credentials().has(CAP_SYS_ADMIN)) return std::unexpected(Errno{EPERM});
  std::string name(text.substr(0, text.find('\n')).substr(0, kNameLimit));
  kernel::UtsNamespace& uts = task_of(caller).uts();
  which == UtsName::kHost ? uts.set_host_name(std::move(name))
                          : uts.set_domain_name(std::move(name));
  return {};
}

void add_uts_names(StaticDirectory& directory) {
  for (auto [path, which] : {std::pair{"kernel/hostname", UtsName::kHost},
                             std::pair{"kernel/domainname", UtsName::kDomain}})
    directory.add(
        path, [which](vfs::Caller& caller) { return uts_name(caller, which); }, kWritable,
        [which](std::string_view text, vfs::Caller& caller) {
          return set_uts_name(text, caller, which);
        });
}

// --- random ids

ErrnoOr<std::string> new_uuid() {
  std::array<unsigned char, 16> bytes{};
  TRY(sys::call_retry(SYS_getrandom, bytes.data(), bytes.size(), 0));
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x40);  // RFC 9562: version 4
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    append(text, bytes[i] < 16 ? "0" : "", hex(bytes[i]));
  }
  return text + "\n";
}

// --- what a container may set for itself: kept, and read back

struct Setting {
  std::string_view path, text;
};
constexpr Setting kSettings[] = {
    {"net/ipv4/ip_local_reserved_ports", ""},
    {"kernel/shm_rmid_forced", "0"},
    {"kernel/ns_last_pid", "0"},
};

class StoredText final : public RefCounted {
 public:
  explicit StoredText(std::string text) : text_(std::move(text)) {}
  std::string text() {
    Locked lock(mutex_);
    return text_ + "\n";
  }
  void set(std::string_view text) {
    Locked lock(mutex_);
    text_ = std::string(trim(text));
  }

 private:
  Mutex mutex_;
  std::string text_;
};

// CAP_NET_ADMIN and CAP_SYS_ADMIN write in Linux too, within their namespaces.
void add_setting(StaticDirectory& directory, std::string_view path, std::string text,
                 int capability) {
  auto stored = make_ref<StoredText>(std::move(text));
  directory.add(
      path, [stored](vfs::Caller&) { return ErrnoOr<std::string>(stored->text()); }, kWritable,
      [stored, capability](std::string_view given, vfs::Caller& caller) -> ErrnoOr<> {
        if (!caller.credentials().has(capability)) return std::unexpected(Errno{EPERM});
        stored->set(given);
        return {};
      });
}

}  // namespace

void add_sysctl(ProcFilesystem& proc, StaticDirectory& root) {
  StaticDirectory& directory = root.add_directory("sys");
  for (const Constant& constant : kConstants) {
    bool of_network = constant.path.starts_with("net/");
    if (of_network)
      add_setting(directory, constant.path, std::string(constant.text), CAP_NET_ADMIN);
    else
      directory.add_constant(constant.path, cat(constant.text, '\n'), kWritable);
  }
  for (const Setting& setting : kSettings)
    add_setting(directory, setting.path, std::string(setting.text), CAP_SYS_ADMIN);
  add_uts_names(directory);
  directory.add_constant("kernel/osrelease", cat(proc.facts().release, '\n'));
  directory.add_constant("kernel/version", cat(proc.facts().version, '\n'));
  directory.add_constant("kernel/pid_max", cat(proc.pids().limit, '\n'), kWritable);
  directory.add("kernel/random/uuid", [](vfs::Caller&) { return new_uuid(); });
  std::string boot_id = new_uuid().value_or("00000000-0000-4000-8000-000000000000\n");
  directory.add_constant("kernel/random/boot_id", std::move(boot_id));
  directory.add_directory("fs/binfmt_misc");
}

}  // namespace caisson::sandbox::fs
