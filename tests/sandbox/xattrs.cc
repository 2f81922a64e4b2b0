// Extended attributes on a tmpfs.
#include <sys/xattr.h>

#include <algorithm>
#include <string>
#include <vector>

#include "frame.h"

namespace {

void show(const char* path, const char* name) {
  char value[256];
  ssize_t size = lgetxattr(path, name, value, sizeof(value));
  if (size < 0) {
    line("%s %s: %s", path, name, frame::error_name(errno));
  } else {
    frame::bytes(name, value, static_cast<size_t>(size));
  }
}

void show_names(const char* path) {
  char names[4096];
  ssize_t size = llistxattr(path, names, sizeof(names));
  if (size < 0) {
    line("names of %s: %s", path, frame::error_name(errno));
    return;
  }
  std::vector<std::string> found;
  for (ssize_t at = 0; at < size; at += static_cast<ssize_t>(found.back().size()) + 1) {
    found.push_back(names + at);
  }
  std::sort(found.begin(), found.end());
  std::string all;
  for (const std::string& name : found) all += " " + name;
  line("names of %s:%s", path, all.c_str());
}

}  // namespace

CASE(user_attributes) {
  frame::put("x", "");
  CALL(setxattr("x", "user.one", "value", 5, 0));
  show("x", "user.one");
  CALL(setxattr("x", "user.one", "new", 3, 0));
  show("x", "user.one");
  show_names("x");
}

CASE(trusted_attributes) {
  frame::put("x", "");
  CALL(setxattr("x", "trusted.one", "value", 5, 0));
  show("x", "trusted.one");
  show_names("x");
  CALL(chmod("x", 0666));
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    CALL(setxattr("x", "trusted.two", "value", 5, 0));
    show("x", "trusted.one");
    show_names("x");
  });
}

CASE(security_attributes) {
  frame::put("x", "");
  CALL(setxattr("x", "security.one", "value", 5, 0));
  show("x", "security.one");
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    CALL(setxattr("x", "security.two", "value", 5, 0));
    show("x", "security.one");
  });
}

CASE(create_and_replace) {
  frame::put("x", "");
  CALL(setxattr("x", "trusted.a", "1", 1, XATTR_REPLACE));
  CALL(setxattr("x", "trusted.a", "2", 1, XATTR_CREATE));
  CALL(setxattr("x", "trusted.a", "3", 1, XATTR_CREATE));
  CALL(setxattr("x", "trusted.a", "4", 1, XATTR_REPLACE));
  CALL(setxattr("x", "trusted.a", "5", 1, XATTR_CREATE | XATTR_REPLACE));
  CALL(setxattr("x", "trusted.a", "5", 1, 4));
  show("x", "trusted.a");
}

CASE(attributes_are_removed) {
  frame::put("x", "");
  CALL(setxattr("x", "trusted.a", "1", 1, 0));
  CALL(removexattr("x", "trusted.a"));
  CALL(removexattr("x", "trusted.a"));
  show("x", "trusted.a");
  show_names("x");
}

CASE(attribute_that_is_missing) {
  frame::put("x", "");
  char value[8];
  CALL(getxattr("x", "trusted.none", value, sizeof(value)));
  CALL(getxattr("x", "user.none", value, sizeof(value)));
  CALL(getxattr("missing", "user.none", value, sizeof(value)));
}

CASE(attribute_of_no_size) {
  frame::put("x", "");
  CALL(setxattr("x", "trusted.empty", "", 0, 0));
  CALL(setxattr("x", "trusted.null", nullptr, 0, 0));
  show("x", "trusted.empty");
  show("x", "trusted.null");
  show_names("x");
}

CASE(sizes_are_asked_for) {
  frame::put("x", "");
  CALL(setxattr("x", "trusted.a", "0123456789", 10, 0));
  char value[16];
  CALL(getxattr("x", "trusted.a", nullptr, 0));
  CALL(getxattr("x", "trusted.a", value, 9));
  CALL(getxattr("x", "trusted.a", value, 10));
  CALL(listxattr("x", nullptr, 0));
  CALL(listxattr("x", value, 9));
  CALL(listxattr("x", value, 10));
}

CASE(bad_names) {
  frame::put("x", "");
  CALL(setxattr("x", "", "1", 1, 0));
  CALL(setxattr("x", "noprefix", "1", 1, 0));
  CALL(setxattr("x", "user.", "1", 1, 0));
  CALL(setxattr("x", "other.a", "1", 1, 0));
  std::string longest = "trusted." + std::string(247, 'n');
  CALL(setxattr("x", longest.c_str(), "1", 1, 0));
  CALL(setxattr("x", (longest + "n").c_str(), "1", 1, 0));
  CALL(getxattr("x", (longest + "n").c_str(), nullptr, 0));
  CALL(getxattr("x", "other.a", nullptr, 0));
  CALL(removexattr("x", "other.a"));
  CALL(syscall(SYS_getxattr, "x", 1, nullptr, 0));
}

CASE(big_values) {
  frame::put("x", "");
  std::string big(65537, 'v');
  OK(setxattr("x", "trusted.big", big.data(), 65536, 0));
  CALL(getxattr("x", "trusted.big", nullptr, 0));
  OK(setxattr("x", "trusted.big", big.data(), 65537, 0));
  CALL(syscall(SYS_setxattr, "x", "trusted.a", 1, 5, 0));
}

CASE(attributes_of_directories) {
  CALL(mkdir("d", 0755));
  CALL(setxattr("d", "trusted.a", "1", 1, 0));
  CALL(setxattr("d", "user.a", "1", 1, 0));
  show_names("d");
}

CASE(attributes_of_links) {
  frame::put("x", "");
  CALL(symlink("x", "s"));
  CALL(setxattr("s", "trusted.a", "of the file", 11, 0));
  CALL(lsetxattr("s", "trusted.b", "of the link", 11, 0));
  CALL(lsetxattr("s", "user.b", "of the link", 11, 0));
  show_names("x");
  show_names("s");
  CALL(lremovexattr("s", "trusted.b"));
  show_names("s");
}

CASE(attributes_of_special_files) {
  CALL(mknod("fifo", S_IFIFO | 0644, 0));
  CALL(setxattr("fifo", "user.a", "1", 1, 0));
  CALL(setxattr("fifo", "trusted.a", "1", 1, 0));
  CALL(getxattr("fifo", "user.a", nullptr, 0));
}

CASE(attributes_by_descriptor) {
  int fd = frame::made("x");
  char value[16] = {};
  CALL(fsetxattr(fd, "trusted.a", "value", 5, 0));
  CALL(fgetxattr(fd, "trusted.a", value, sizeof(value)));
  frame::text("value", value);
  CALL(flistxattr(fd, nullptr, 0));
  CALL(fremovexattr(fd, "trusted.a"));
  CALL(flistxattr(fd, nullptr, 0));
  CALL(fsetxattr(99, "trusted.a", "value", 5, 0));
  CALL(fgetxattr(99, "trusted.a", value, sizeof(value)));
  CALL(fgetxattr(open("x", O_PATH), "trusted.a", value, sizeof(value)));
}

CASE(attributes_stay_with_the_file) {
  frame::put("x", "");
  CALL(setxattr("x", "trusted.a", "1", 1, 0));
  CALL(rename("x", "y"));
  CALL(link("y", "z"));
  show_names("y");
  show_names("z");
  frame::put("z", "new content");
  show_names("z");
}

CASE(user_attributes_need_permission) {
  frame::put("x", "");
  CALL(setxattr("x", "user.a", "1", 1, 0));
  frame::put("private", "");
  CALL(setxattr("private", "user.a", "1", 1, 0));
  CALL(chmod("private", 0600));
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    CALL(setxattr("x", "user.b", "1", 1, 0));
    show("x", "user.a");
    show("private", "user.a");
    show_names("private");
    CALL(removexattr("x", "user.a"));
  });
}

CASE(sticky_directories_protect_user_attributes) {
  CALL(mkdir("d", 01777));
  CALL(chmod("d", 01777));
  frame::in_child([] {
    setresuid(1000, 1000, 1000);
    CALL(setxattr("d", "user.a", "1", 1, 0));
  });
  CALL(setxattr("d", "user.a", "1", 1, 0));
}

CASE(setting_moves_the_change_time) {
  frame::put("x", "");
  struct stat before, after;
  stat("x", &before);
  usleep(20000);
  CALL(setxattr("x", "trusted.a", "1", 1, 0));
  stat("x", &after);
  YES(memcmp(&before.st_ctim, &after.st_ctim, sizeof(timespec)) != 0);
  YES(memcmp(&before.st_mtim, &after.st_mtim, sizeof(timespec)) == 0);
}

CASE(capabilities_of_files_are_checked) {
  frame::put("x", "");
  CALL(setxattr("x", "security.capability", "nonsense", 8, 0));
  uint32_t value[5] = {0x02000001, 1 << 10, 0, 0, 0};
  CALL(setxattr("x", "security.capability", value, 20, 0));
  CALL(getxattr("x", "security.capability", nullptr, 0));
  uint32_t back[5] = {};
  CALL(getxattr("x", "security.capability", back, sizeof(back)));
  YES(memcmp(value, back, 20) == 0);
}

CASE(many_attributes) {
  frame::put("x", "");
  for (int index = 0; index < 50; index++) {
    setxattr("x", ("trusted.n" + std::to_string(index)).c_str(), "1", 1, 0);
  }
  CALL(listxattr("x", nullptr, 0));
}
