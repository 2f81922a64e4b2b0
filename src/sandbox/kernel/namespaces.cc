#include "sandbox/kernel/namespaces.h"

#include <atomic>
#include <utility>

namespace caisson::sandbox::kernel {
namespace {

// After the numbers ran out once, those that a system's first daemons have are not given again
// (RESERVED_PIDS of kernel/pid.c).
constexpr int kFirstAfterWrap = 300;

}  // namespace

std::uint64_t next_namespace_inode() {
  // Linux gives its first namespaces numbers from here on (PROC_DYNAMIC_FIRST).
  static std::atomic<std::uint64_t> next{0xF0000000};
  return next.fetch_add(1, std::memory_order_relaxed);
}

PidNamespace::PidNamespace(Ref<PidNamespace> its_parent)
    : parent(std::move(its_parent)),
      depth(parent ? parent->depth + 1 : 0),
      inode(next_namespace_inode()) {}

int PidNamespace::allocate() {
  for (int tried = 0; tried < limit; ++tried) {
    last = last + 1 < limit ? last + 1 : kFirstAfterWrap;
    if (!tasks.contains(last) && !process_groups.contains(last) && !sessions.contains(last))
      return last;
  }
  return -1;
}

const PidNamespace* PidNamespace::ancestor_at(int at_depth) const {
  const PidNamespace* found = this;
  while (found != nullptr && found->depth > at_depth) found = found->parent.get();
  return found != nullptr && found->depth == at_depth ? found : nullptr;
}

int PidNamespace::pick(const std::vector<int>& ids, const PidNamespace& from) const {
  if (from.ancestor_at(depth) != this) return 0;
  auto index = static_cast<std::size_t>(depth);
  return index < ids.size() ? ids[index] : 0;
}

UtsNamespace::UtsNamespace(std::string host, std::string domain)
    : inode(next_namespace_inode()), host_(std::move(host)), domain_(std::move(domain)) {}

std::string UtsNamespace::host_name() const {
  Locked locked(mutex_);
  return host_;
}

std::string UtsNamespace::domain_name() const {
  Locked locked(mutex_);
  return domain_;
}

void UtsNamespace::set_host_name(std::string name) {
  Locked locked(mutex_);
  host_ = std::move(name);
}

void UtsNamespace::set_domain_name(std::string name) {
  Locked locked(mutex_);
  domain_ = std::move(name);
}

Ref<UtsNamespace> UtsNamespace::copy() const {
  Locked locked(mutex_);
  return make_ref<UtsNamespace>(host_, domain_);
}

OpaqueNamespace::OpaqueNamespace() : inode(next_namespace_inode()) {}

}  // namespace caisson::sandbox::kernel
