// Reading directories, whatever their order; and what changes while they are read.
#include <dirent.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "frame.h"

namespace {

struct Entry {
  uint64_t inode;
  int64_t offset;
  uint16_t size;
  uint8_t type;
  char name[1];
};

// All names that remain, sorted, by calls with a buffer of that size.
std::vector<std::string> names(int fd, size_t size = 4096) {
  std::vector<std::string> found;
  std::vector<char> buffer(size);
  long done;
  while ((done = syscall(SYS_getdents64, fd, buffer.data(), size)) > 0) {
    for (long at = 0; at < done;) {
      auto entry = reinterpret_cast<const Entry*>(buffer.data() + at);
      found.push_back(entry->name);
      at += entry->size;
    }
  }
  if (done < 0) found.push_back(frame::error_name(errno));
  std::sort(found.begin(), found.end());
  return found;
}

void show(const char* label, const std::vector<std::string>& all) {
  std::string text;
  for (const std::string& name : all) text += " " + name;
  line("%s:%s", label, text.c_str());
}

void make(int count) {
  for (int index = 0; index < count; index++) {
    close(open(("f" + std::to_string(index)).c_str(), O_CREAT | O_WRONLY, 0644));
  }
}

}  // namespace

CASE(empty_directory_has_dots) {
  CALL(mkdir("d", 0755));
  show("d", names(open("d", O_RDONLY)));
}

CASE(all_names_are_there) {
  make(20);
  show("all", names(open(".", O_RDONLY)));
}

CASE(many_names_by_small_pieces) {
  make(500);
  auto all = names(open(".", O_RDONLY), 64);
  SHOW(all.size());
  std::set<std::string> different(all.begin(), all.end());
  SHOW(different.size());
}

CASE(many_names_by_one_piece) {
  make(1500);
  SHOW(names(open(".", O_RDONLY), 1 << 20).size());
}

CASE(dots_come_first) {
  make(3);
  char buffer[4096];
  int fd = open(".", O_RDONLY);
  YES(syscall(SYS_getdents64, fd, buffer, sizeof(buffer)) > 0);
  auto first = reinterpret_cast<const Entry*>(buffer);
  auto second = reinterpret_cast<const Entry*>(buffer + first->size);
  frame::text("first", first->name);
  frame::text("second", second->name);
  SHOW(first->size % 8);
}

CASE(types_of_entries) {
  frame::put("file", "");
  CALL(mkdir("directory", 0755));
  CALL(symlink("x", "link"));
  CALL(mknod("fifo", S_IFIFO | 0600, 0));
  CALL(mknod("socket", S_IFSOCK | 0600, 0));
  std::set<std::string> found;
  DIR* directory = opendir(".");
  while (dirent* entry = readdir(directory)) {
    found.insert(std::string(entry->d_name) + " " + std::to_string(entry->d_type));
  }
  for (const std::string& one : found) line("%s", one.c_str());
}

CASE(inode_numbers_are_those_of_stat) {
  make(5);
  bool equal = true;
  DIR* directory = opendir(".");
  while (dirent* entry = readdir(directory)) {
    struct stat found;
    if (strcmp(entry->d_name, "..") == 0) continue;
    equal = equal && lstat(entry->d_name, &found) == 0 && found.st_ino == entry->d_ino;
  }
  YES(equal);
}

CASE(sizes_of_entries) {
  std::string longest(255, 'n');
  frame::put(longest.c_str(), "");
  frame::put("x", "");
  char buffer[4096];
  int fd = open(".", O_RDONLY);
  std::vector<int> sizes;
  long done = syscall(SYS_getdents64, fd, buffer, sizeof(buffer));
  for (long at = 0; at < done;) {
    auto entry = reinterpret_cast<const Entry*>(buffer + at);
    sizes.push_back(entry->size);
    at += entry->size;
  }
  std::sort(sizes.begin(), sizes.end());
  for (int size : sizes) SHOW(size);
}

CASE(buffer_too_small) {
  make(2);
  char buffer[64];
  int fd = open(".", O_RDONLY);
  CALL(syscall(SYS_getdents64, fd, buffer, 0));
  CALL(syscall(SYS_getdents64, fd, buffer, 10));
  CALL(syscall(SYS_getdents64, fd, buffer, 24));
  CALL(syscall(SYS_getdents64, fd, 1, 4096));
}

CASE(getdents_of_no_directory) {
  frame::put("x", "");
  char buffer[4096];
  CALL(syscall(SYS_getdents64, open("x", O_RDONLY), buffer, sizeof(buffer)));
  CALL(syscall(SYS_getdents64, 99, buffer, sizeof(buffer)));
  CALL(syscall(SYS_getdents64, open(".", O_PATH), buffer, sizeof(buffer)));
  CALL(read(open(".", O_RDONLY), buffer, sizeof(buffer)));
  CALL(pread(open(".", O_RDONLY), buffer, sizeof(buffer), 0));
}

CASE(end_stays_the_end) {
  make(2);
  char buffer[4096];
  int fd = open(".", O_RDONLY);
  names(fd);
  CALL(syscall(SYS_getdents64, fd, buffer, sizeof(buffer)));
  make(4);
  CALL(close(fd));
}

CASE(rewinding_shows_what_is_new) {
  make(1);
  int fd = open(".", O_RDONLY);
  show("before", names(fd));
  make(3);
  unlink("f0");
  CALL(lseek(fd, 0, SEEK_SET));
  show("after", names(fd));
}

CASE(offsets_lead_back) {
  make(30);
  DIR* directory = opendir(".");
  for (int count = 0; count < 10; count++) readdir(directory);
  long place = telldir(directory);
  std::string expected = readdir(directory)->d_name;
  while (readdir(directory)) continue;
  seekdir(directory, place);
  YES(expected == readdir(directory)->d_name);
}

CASE(duplicated_descriptors_share_the_place) {
  make(3);
  int fd = open(".", O_RDONLY);
  int other = dup(fd);
  SHOW(names(fd).size());
  SHOW(names(other).size());
  SHOW(names(open(".", O_RDONLY)).size());
}

CASE(removing_while_reading) {
  make(100);
  int fd = open(".", O_RDONLY);
  char buffer[256];
  int removed = 0;
  long done;
  while ((done = syscall(SYS_getdents64, fd, buffer, sizeof(buffer))) > 0) {
    for (long at = 0; at < done;) {
      auto entry = reinterpret_cast<const Entry*>(buffer + at);
      removed += unlink(entry->name) == 0;
      at += entry->size;
    }
  }
  SHOW(removed);
  frame::list(".");
}

CASE(removed_directory_reads_empty) {
  CALL(mkdir("d", 0755));
  int fd = open("d", O_RDONLY);
  CALL(rmdir("d"));
  char buffer[4096];
  CALL(syscall(SYS_getdents64, fd, buffer, sizeof(buffer)));
  CALL(openat(fd, ".", O_RDONLY));
  CALL(mkdirat(fd, "e", 0755));
  struct stat found;
  CALL(fstat(fd, &found));
  SHOW(found.st_nlink);
}

CASE(renamed_entries_are_seen_once) {
  make(3);
  CALL(rename("f0", "g0"));
  CALL(mkdir("d", 0755));
  CALL(rename("f1", "d/f1"));
  show("here", names(open(".", O_RDONLY)));
  show("there", names(open("d", O_RDONLY)));
}

CASE(old_getdents) {
  make(2);
  char buffer[4096];
  int fd = open(".", O_RDONLY);
  std::vector<std::string> found;
  long done = syscall(SYS_getdents, fd, buffer, sizeof(buffer));
  for (long at = 0; at < done;) {
    uint16_t size;
    memcpy(&size, buffer + at + 16, 2);
    found.push_back(buffer + at + 18 + std::string(" ") + std::to_string(buffer[at + size - 1]));
    at += size;
  }
  std::sort(found.begin(), found.end());
  show("names", found);
}

CASE(links_count_directories_below) {
  CALL(mkdir("d", 0755));
  for (const char* name : {"d/a", "d/b", "d/c"}) CALL(mkdir(name, 0755));
  frame::put("d/file", "");
  frame::describe("d");
  CALL(rmdir("d/a"));
  frame::describe("d");
}

CASE(group_is_inherited_from_a_setgid_directory) {
  CALL(mkdir("d", 0755));
  CALL(chown("d", 0, 50));
  CALL(chmod("d", 02775));
  CALL(mkdir("d/sub", 0755));
  frame::put("d/file", "");
  CALL(symlink("x", "d/link"));
  for (const char* name : {"d", "d/sub", "d/file", "d/link"}) frame::describe(name);
}

CASE(parent_of_a_moved_directory) {
  CALL(mkdir("a", 0755));
  CALL(mkdir("b", 0755));
  CALL(mkdir("a/x", 0755));
  frame::put("b/mark", "in b");
  CALL(rename("a/x", "b/x"));
  frame::cat("b/x/../mark");
}

CASE(directory_seek_and_end) {
  int fd = open(".", O_RDONLY);
  CALL(lseek(fd, -1, SEEK_SET));
  CALL(lseek(fd, 0, SEEK_CUR));
  CALL(lseek(fd, 0, 77));
}

CASE(list_of_the_root_has_the_usual) {
  auto all = names(open("/", O_RDONLY));
  for (const char* name : {"dev", "proc", "etc", "tmp"}) {
    line("%s: %d", name, std::find(all.begin(), all.end(), name) != all.end());
  }
}
