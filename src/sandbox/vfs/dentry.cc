#include "sandbox/vfs/dentry.h"

#include <utility>

#include "sandbox/vfs/dentry_cache.h"
#include "sandbox/vfs/watches.h"

namespace caisson::sandbox::vfs {

// --- ChildTable

std::uint32_t ChildTable::hash_of(std::string_view name) {
  std::uint32_t hash = 2166136261U;  // FNV-1a: names are short
  for (char character : name) hash = (hash ^ static_cast<unsigned char>(character)) * 16777619U;
  return hash ^ hash >> 15;
}

Dentry* ChildTable::find(std::string_view name, std::uint32_t hash) const {
  if (bucket_count_ == 0) return nullptr;
  for (Dentry* child = bucket(hash); child != nullptr; child = child->next_in_bucket_)
    if (child->hash_ == hash && child->name_ == name) return child;
  return nullptr;
}

void ChildTable::add(Dentry& child) {
  if (size_ == bucket_count_) grow();
  Dentry*& first = bucket(child.hash_);
  child.next_in_bucket_ = first;
  first = &child;
  child.listed_ = true;
  ++size_;
}

void ChildTable::remove(Dentry& child) {
  Dentry** link = &bucket(child.hash_);
  while (*link != &child) link = &(*link)->next_in_bucket_;
  *link = child.next_in_bucket_;
  child.next_in_bucket_ = nullptr;
  child.listed_ = false;
  --size_;
  if (size_ == 0 && bucket_count_ > 64) buckets_.reset(), bucket_count_ = 0;
}

void ChildTable::grow() {
  std::uint32_t before = bucket_count_;
  auto old = std::move(buckets_);
  bucket_count_ = before == 0 ? 4 : before * 2;
  buckets_ = std::make_unique<Dentry*[]>(bucket_count_);
  for (std::uint32_t i = 0; i < before; ++i)
    for (Dentry* child = old[i]; child != nullptr;) {
      Dentry* next = std::exchange(child->next_in_bucket_, nullptr);
      Dentry*& first = bucket(child->hash_);
      child->next_in_bucket_ = std::exchange(first, child);
      child = next;
    }
}

// --- Dentry

Dentry::Dentry(Ref<Dentry> parent, std::string_view name, Ref<Inode> inode)
    : has_parent_(static_cast<bool>(parent)),
      hash_(ChildTable::hash_of(name)),
      parent_(std::move(parent)),
      name_(name),
      inode_(std::move(inode)) {}

Dentry::~Dentry() {
  if (!is_removed() || !inode_ || inode_->filesystem().watches().empty()) return;
  inode_->filesystem().watches().name_ended(*inode_);
}

Ref<Dentry> Dentry::make_root(Ref<Inode> inode, std::string name) {
  auto root = Ref<Dentry>::adopt(new Dentry(nullptr, name, std::move(inode)));
  root->filesystem_ = Ref<Filesystem>::share(&root->inode_->filesystem());
  return root;
}

DentryCache& Dentry::cache() const {
  // What has no inode has a parent, and parents have one.
  const Inode& inode = inode_ ? *inode_ : *parent_->inode_;
  return inode.filesystem().names();
}

Ref<Dentry> Dentry::parent() const {
  if (!has_parent_) return Ref<Dentry>::share(const_cast<Dentry*>(this));
  Locked lock(cache().tree_mutex_);
  return parent_;
}

std::string Dentry::name() const {
  if (!has_parent_) return name_;
  Locked lock(cache().tree_mutex_);
  return name_;
}

bool Dentry::is_below(const Dentry& ancestor) const {
  if (this == &ancestor) return true;
  if (!has_parent_) return false;
  Locked lock(cache().tree_mutex_);
  for (const Dentry* at = this; at != nullptr; at = at->parent_.get())
    if (at == &ancestor) return true;
  return false;
}

// Whether nobody can come by this dentry any more; it has left its parent's table then.
bool Dentry::ends_itself() {
  if (!has_parent_) return true;
  if (!is_removed() && parent_->inode_->caches_names() && cache().keep(*this)) return false;
  Locked lock(parent_->children_mutex_);
  if (listed_) parent_->children_.remove(*this);
  return true;
}

void Dentry::last_reference_dropped() {
  // A loop, since directories of guests can be deeper than our stack.
  for (Dentry* dentry = this; dentry != nullptr && dentry->ends_itself();) {
    Ref<Dentry> parent = std::move(dentry->parent_);
    Ref<Filesystem> filesystem = std::move(dentry->filesystem_);
    delete dentry;
    dentry = parent.release();
    if (dentry != nullptr && !dentry->drop_ref_is_last()) return;
  }
}

}  // namespace caisson::sandbox::vfs
