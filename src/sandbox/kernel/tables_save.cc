// Namespaces, sessions, process groups, descriptor tables in a checkpoint.
#include <algorithm>
#include <vector>

#include "base/text.h"
#include "sandbox/kernel/described.h"
#include "sandbox/kernel/file_owner.h"
#include "sandbox/kernel/ipc_namespace.h"
#include "sandbox/kernel/pidfd.h"
#include "sandbox/vfs/save.h"

namespace caisson::sandbox::kernel {
namespace {

constexpr int kMostDescriptors = 1 << 20;

enum class Whose : std::uint8_t { kIpc, kNetwork, kAnother };

}  // namespace

Result<> check_ids(const std::vector<int>& ids, const PidNamespace& ns) {
  bool valid = ids.size() == static_cast<std::size_t>(ns.depth) + 1 &&
               std::ranges::all_of(ids, [](int id) { return id > 0; });
  if (valid) return {};
  return std::unexpected(state::Reader::damaged("ids are not those of their namespace"));
}

void save_signals(state::Writer& to, const PendingSignals& pending) { to(pending.queue()); }

Result<> restore_signals(state::Reader& from, PendingSignals& pending) {
  auto queue = from.value<std::deque<SignalInfo>>();
  TRY(from.check());
  for (const SignalInfo& info : queue) {
    if (!is_valid_signal(info.signal))
      return std::unexpected(state::Reader::damaged("a signal is none"));
    (void)pending.add(info);
  }
  return {};
}

// --- namespaces

Result<> PidNamespace::save(state::Writer& to) {
  to.refer(parent);
  to(last, limit, ending);
  return {};
}

// The container's own stands already: file systems show it.
Result<Ref<PidNamespace>> PidNamespace::restore(state::Reader& from) {
  auto parent = TRY(from.optional_object<PidNamespace>());
  auto ns = parent ? make_ref<PidNamespace>(std::move(parent)) : from.need<Container>().pids;
  from(ns->last, ns->limit, ns->ending);
  return ns;
}

Result<> UtsNamespace::save(state::Writer& to) {
  to(host_name(), domain_name());
  return {};
}

Result<Ref<UtsNamespace>> UtsNamespace::restore(state::Reader& from) {
  auto host = from.value<std::string>();
  return make_ref<UtsNamespace>(std::move(host), from.value<std::string>());
}

Result<> OpaqueNamespace::save(state::Writer& to) {
  if (IpcNamespace* objects = ipc(); objects != nullptr && !objects->is_empty()) {
    return std::unexpected(
        Error::with_cause(EOPNOTSUPP,
                          "System V objects or message queues are there, which cannot be saved")
            .cure("remove them by ipcrm(1) or mq_unlink(3) before the checkpoint"));
  }
  auto& container = to.need<Container>();
  to(this == container.ipc.get()       ? Whose::kIpc
     : this == container.network.get() ? Whose::kNetwork
                                       : Whose::kAnother);
  to(network() != nullptr);
  return {};
}

Result<Ref<OpaqueNamespace>> OpaqueNamespace::restore(state::Reader& from) {
  auto& container = from.need<Container>();
  auto whose = from.value<Whose>();
  bool is_network = from.value<bool>();
  if (whose == Whose::kIpc) return container.ipc;
  if (whose == Whose::kNetwork) return container.network;
  return is_network ? container.network->make_another() : make_ref<OpaqueNamespace>();
}

// --- sessions and process groups

Result<> ControllingTerminal::save(state::Writer& /*to*/) { return {}; }

Result<> Session::save(state::Writer& to) {
  to.refer(pid_namespace);
  to(ids, foreground_group);
  to.refer(terminal, cat("the terminal of session ", id));
  to.refer(leader);
  return {};
}

Result<Ref<Session>> Session::restore(state::Reader& from) {
  auto ns = TRY(from.object<PidNamespace>());
  auto ids = from.value<std::vector<int>>();
  TRY(from.check());
  TRY(check_ids(ids, *ns));
  auto session = make_ref<Session>(std::move(ids), std::move(ns));
  from(session->foreground_group);
  from.made(session);
  session->terminal = TRY(from.optional_object<ControllingTerminal>());
  if (session->terminal) session->terminal->set_session(session.get());
  session->leader = TRY(from.optional_object<ThreadGroup>()).get();
  return session;
}

Result<> ProcessGroup::save(state::Writer& to) {
  to.refer(pid_namespace);
  to(ids);
  to.refer(session);
  return {};
}

Result<Ref<ProcessGroup>> ProcessGroup::restore(state::Reader& from) {
  auto ns = TRY(from.object<PidNamespace>());
  auto ids = from.value<std::vector<int>>();
  TRY(from.check());
  TRY(check_ids(ids, *ns));
  auto session = TRY(from.object<Session>());
  return make_ref<ProcessGroup>(std::move(ids), std::move(ns), std::move(session));
}

// --- descriptors

Result<> FdTable::save(state::Writer& to) {
  Locked locked(mutex_);
  std::vector<int> open;
  for (std::size_t i = 0; i < slots_.size(); ++i)
    if (slots_[i].file) open.push_back(static_cast<int>(i));
  to(open.size());
  std::vector<const vfs::Inode*> seen;
  for (int fd : open) {
    const Slot& slot = slots_[static_cast<std::size_t>(fd)];
    vfs::File& file = *slot.file;
    if (FileOwner::known_of(file)) {
      return std::unexpected(Error::with_cause(EOPNOTSUPP, "signals were asked of it (F_SETOWN)")
                                 .doing("descriptor ", fd));
    }
    to(fd, slot.close_on_exec);
    to.refer(&file,
             cat("descriptor ", fd, file.path().mount ? "" : cat(" (", file.link_text({}), ")")));
    vfs::Inode* inode = file.inode();
    // Locks of processes belong to a table and an inode, not to a file.
    bool is_first = inode != nullptr && std::ranges::find(seen, inode) == seen.end();
    to(is_first);
    if (!is_first) continue;
    seen.push_back(inode);
    vfs::save_locks(to, *inode, this);
  }
  return {};
}

// Files are opened when all processes are there: some are found by them (/proc).
Result<Ref<FdTable>> FdTable::restore(state::Reader& from) {
  auto table = make_ref<FdTable>();
  from.later([table](state::Reader& rest) { return table->restore_slots(rest); });
  return table;
}

Result<> FdTable::restore_slots(state::Reader& from) {
  for (std::size_t left = from.count(); left != 0; --left) {
    auto fd = from.value<int>();
    auto close_on_exec = from.value<bool>();
    TRY(from.check());
    if (fd < 0 || fd >= kMostDescriptors)
      return std::unexpected(state::Reader::damaged("a descriptor is none"));
    auto file = TRY(from.object<vfs::File>());
    bool has_locks = from.value<bool>();
    if (has_locks && file->inode() == nullptr)
      return std::unexpected(state::Reader::damaged("a lock is on no file"));
    if (has_locks) TRY(vfs::restore_locks(from, *file->inode(), this));
    (void)put(fd, std::move(file), close_on_exec, kMostDescriptors, nullptr);
  }
  return {};
}

Result<> FsContext::save(state::Writer& to) {
  vfs::save_path(to, root());
  vfs::save_path(to, cwd());
  to(umask());
  return {};
}

Result<Ref<FsContext>> FsContext::restore(state::Reader& from) {
  auto root = TRY(vfs::restore_path(from));
  auto cwd = TRY(vfs::restore_path(from));
  if (!root || !cwd || !root.mount || !cwd.mount)
    return std::unexpected(state::Reader::damaged("a process has no root"));
  return make_ref<FsContext>(std::move(root), std::move(cwd), from.value<std::uint32_t>());
}

Result<> PidFile::save(state::Writer& to) {
  to(flags());
  to.refer(group_);
  return {};
}

Result<Ref<vfs::File>> PidFile::restore(state::Reader& from) {
  auto flags = from.value<std::uint32_t>();
  auto group = TRY(from.object<ThreadGroup>());
  return Ref<vfs::File>(make_ref<PidFile>(std::move(group), flags));
}

}  // namespace caisson::sandbox::kernel
