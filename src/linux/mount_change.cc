// Mounts for a container that runs, and mounts that it loses.
//
// Sources are opened by us, outside, as detached trees; a child of ours that joins the container's
// user and mount namespace, and no other, finds the targets below the container's root and attaches
// the trees there. It is no process of the container's: not in its pid namespace, not in its
// cgroup.

#include <algorithm>

#include "linux/executor.h"
#include "linux/namespaces.h"
#include "linux/sources.h"
#include "linux/spawn.h"
#include "sys/process.h"
#include "sys/socket.h"

namespace caisson::linux {
namespace {

using plan::NamespaceKind;

constexpr int kTimeoutMs = 60'000;

Result<std::vector<JoinNamespace>> namespaces_to_join(const plan::ProcessHandle& init) {
  auto joins = TRY_CTX(open_differing(init), "open the container's namespaces");
  std::erase_if(joins, [](const JoinNamespace& join) {
    return join.kind != NamespaceKind::kUser && join.kind != NamespaceKind::kMount;
  });
  bool own = std::ranges::find(joins, NamespaceKind::kMount, &JoinNamespace::kind) != joins.end();
  if (own) return joins;
  return std::unexpected(Error::with_cause(EINVAL, "the container's mounts are those of its caller")
                             .code("host.unsupported"));
}

}  // namespace

Result<> change_container_mounts(const plan::MountChange& change) {
  SharedReport report = TRY(SharedReport::create(change.plan->mounts.steps.size()));
  ChildContext context;
  context.plan = change.plan;
  context.process = &change.plan->process;
  context.report = report.get();
  context.joins = TRY(namespaces_to_join(*change.init));
  context.user_namespace = context.joins.front().kind == NamespaceKind::kUser;
  prepare_sources(context, change.plan->mounts.steps.size());
  if (sys::geteuid() == 0) TRY(open_bind_sources(context, change.plan->mounts.steps));
  auto sockets = TRY_CTX(sys::socket_pair(), "make a socket pair");
  context.parent_fd = sockets.first.number();
  context.report_fd = sockets.second.number();
  NewProcess process = TRY(spawn(context, Sharing::kNothing, run_mount_change));
  sockets.second.reset();
  Conversation talk{&context, sockets.first.ref(), change.plan, {}};
  Passed passed;
  // The end of the conversation is its success.
  TRY(next_event(talk, process, kTimeoutMs, passed));
  return {};
}

}  // namespace caisson::linux
