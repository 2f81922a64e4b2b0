// What programs read in /proc: that it is there, has the fields they look for, and agrees with
// itself.
#include <dirent.h>
#include <pthread.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <string>
#include <vector>

#include "frame.h"

namespace {

std::string content(const std::string& path) {
  std::string all;
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::string("<") + frame::error_name(errno) + ">";
  char data[65536];
  ssize_t size;
  while ((size = read(fd, data, sizeof(data))) > 0) all.append(data, static_cast<size_t>(size));
  close(fd);
  return all;
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> all;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    all.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return all;
}

// The value of "Name:   value" in a file of such lines.
std::string field(const std::string& path, const std::string& name) {
  for (const std::string& line : lines(content(path))) {
    if (line.compare(0, name.size() + 1, name + ":") != 0) continue;
    size_t at = line.find_first_not_of(" \t", name.size() + 1);
    return at == std::string::npos ? "" : line.substr(at);
  }
  return "<missing>";
}

void show_field(const char* path, const char* name) {
  line("%s: %s", name, field(path, name).c_str());
}

std::string link_of(const std::string& path) {
  char target[4096] = {};
  ssize_t size = readlink(path.c_str(), target, sizeof(target) - 1);
  return size < 0 ? std::string("<") + frame::error_name(errno) + ">" : target;
}

std::string own(const char* file) { return "/proc/" + std::to_string(getpid()) + "/" + file; }

// The fields behind the name of a stat line.
std::vector<std::string> stat_fields(const std::string& path) {
  std::string text = content(path);
  size_t at = text.rfind(')');
  std::vector<std::string> all;
  while (at != std::string::npos &&
         (at = text.find_first_not_of(" )\n", at)) != std::string::npos) {
    size_t end = text.find_first_of(" \n", at);
    all.push_back(text.substr(at, end - at));
    at = end;
  }
  return all;
}

bool is_number(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

std::vector<std::string> names(const std::string& path) {
  std::vector<std::string> all;
  DIR* directory = opendir(path.c_str());
  while (dirent* entry = directory ? readdir(directory) : nullptr) all.push_back(entry->d_name);
  if (directory) closedir(directory);
  std::sort(all.begin(), all.end());
  return all;
}

bool has(const std::vector<std::string>& all, const std::string& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

CASE(self_is_this_process) {
  YES(link_of("/proc/self") == std::to_string(getpid()));
  YES(link_of("/proc/thread-self") ==
      std::to_string(getpid()) + "/task/" + std::to_string(gettid()));
  YES(content("/proc/self/comm") == content(own("comm")));
}

CASE(processes_are_listed) {
  auto all = names("/proc");
  YES(has(all, std::to_string(getpid())));
  YES(has(all, std::to_string(getppid())));
  YES(has(all, "1"));
  for (const char* name : {"self", "stat", "meminfo", "cpuinfo", "mounts", "uptime", "loadavg",
                           "version", "sys", "filesystems"}) {
    line("%s %d", name, has(all, name));
  }
  pid_t pid = frame::child([] {});
  waitpid(pid, nullptr, 0);
  YES(!has(names("/proc"), std::to_string(pid)));
}

CASE(processes_that_are_gone) {
  pid_t pid = frame::child([] {});
  waitpid(pid, nullptr, 0);
  CALL(access(("/proc/" + std::to_string(pid)).c_str(), F_OK));
  CALL(access("/proc/missing", F_OK));
  CALL(open("/proc/new", O_CREAT | O_WRONLY, 0644));
  CALL(mkdir("/proc/new", 0755));
}

CASE(files_of_a_process) {
  auto all = names("/proc/self");
  for (const char* name :
       {"auxv",          "cgroup",  "cmdline", "comm", "cwd",   "environ",   "exe",    "fd",
        "fdinfo",        "gid_map", "limits",  "maps", "mem",   "mountinfo", "mounts", "ns",
        "oom_score_adj", "root",    "smaps",   "stat", "statm", "status",    "task",   "uid_map"}) {
    line("%s %d", name, has(all, name));
  }
}

CASE(command_line) {
  std::string text = content("/proc/self/cmdline");
  YES(text.compare(0, strlen(frame::program()) + 1, std::string(frame::program()) + '\0') == 0);
  YES(text.back() == '\0');
}

HELPER(show_command_line) {
  std::string text = content("/proc/self/cmdline");
  frame::bytes("command line", text.data(), text.size());
  text = content("/proc/self/environ");
  frame::bytes("environment", text.data(), text.size());
  text = content("/proc/self/comm");
  frame::text("name", text.c_str());
  return 0;
}

CASE(command_line_after_exec) {
  frame::in_child([] {
    symlink(frame::program(), "a_link");
    const char* arguments[] = {"zero", "@show_command_line", "", "two words", nullptr};
    const char* environment[] = {"A=1", "B=2", nullptr};
    execve("./a_link", const_cast<char**>(arguments), const_cast<char**>(environment));
  });
}

CASE(name_is_set_by_writing) {
  int fd = open("/proc/self/comm", O_RDWR);
  CALL(write(fd, "a new name that is long\n", 24));
  char name[16] = {};
  prctl(PR_GET_NAME, name);
  frame::text("name", name);
  frame::cat("/proc/self/comm");
  show_field("/proc/self/status", "Name");
}

CASE(status_has_its_fields) {
  std::string names_found;
  for (const std::string& line : lines(content("/proc/self/status")))
    names_found += " " + line.substr(0, line.find(':'));
  for (const char* name :
       {"Name",    "Umask",      "State",   "Tgid",         "Pid",
        "PPid",    "TracerPid",  "Uid",     "Gid",          "FDSize",
        "Groups",  "VmPeak",     "VmSize",  "VmRSS",        "VmData",
        "Threads", "SigPnd",     "ShdPnd",  "SigBlk",       "SigIgn",
        "SigCgt",  "CapInh",     "CapPrm",  "CapEff",       "CapBnd",
        "CapAmb",  "NoNewPrivs", "Seccomp", "Cpus_allowed", "voluntary_ctxt_switches"}) {
    line("%s %d", name, names_found.find(std::string(" ") + name) != std::string::npos);
  }
}

CASE(status_tells_who) {
  const char* status = "/proc/self/status";
  YES(field(status, "Pid") == std::to_string(getpid()));
  YES(field(status, "Tgid") == std::to_string(getpid()));
  YES(field(status, "PPid") == std::to_string(getppid()));
  show_field(status, "TracerPid");
  show_field(status, "Uid");
  show_field(status, "Gid");
  show_field(status, "State");
  show_field(status, "Threads");
  umask(027);
  show_field(status, "Umask");
}

CASE(status_follows_credentials) {
  frame::in_child([] {
    gid_t groups[] = {7, 9};
    setgroups(2, groups);
    setresgid(11, 12, 13);
    setresuid(1000, 1001, 1002);
    show_field("/proc/self/status", "Uid");
    show_field("/proc/self/status", "Gid");
    show_field("/proc/self/status", "Groups");
    show_field("/proc/self/status", "CapEff");
  });
}

CASE(status_follows_signals) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  signal(SIGTERM, SIG_IGN);
  frame::handle(SIGHUP, frame::ignore_in_handler);
  kill(getpid(), SIGUSR1);
  raise(SIGUSR2);
  for (const char* name : {"SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"})
    show_field("/proc/self/status", name);
}

CASE(status_counts_threads) {
  static volatile bool end;
  pthread_t thread;
  pthread_create(
      &thread, nullptr,
      [](void*) -> void* {
        while (!end) usleep(1000);
        return nullptr;
      },
      nullptr);
  show_field("/proc/self/status", "Threads");
  SHOW(names("/proc/self/task").size() - 2);
  end = true;
  pthread_join(thread, nullptr);
}

CASE(states_of_processes) {
  frame::Gate gate;
  pid_t pid = frame::child([&] { gate.wait(); });
  std::string path = "/proc/" + std::to_string(pid) + "/stat";
  auto state = [&] {
    auto fields = stat_fields(path);
    return fields.empty() ? std::string("none") : fields[0];
  };
  YES(frame::until([&] { return state() == "S"; }));
  kill(pid, SIGSTOP);
  YES(frame::until([&] { return state() == "T"; }));
  kill(pid, SIGCONT);
  gate.open();
  YES(frame::until([&] { return state() == "Z"; }));
  frame::join(pid);
  line("%s", stat_fields("/proc/self/stat")[0].c_str());
}

CASE(stat_line) {
  auto fields = stat_fields("/proc/self/stat");
  SHOW(fields.size());
  YES(fields[1] == std::to_string(getppid()));
  YES(fields[2] == std::to_string(getpgrp()));
  YES(fields[3] == std::to_string(getsid(0)));
  line("threads %s priority %s nice %s", fields[17].c_str(), fields[15].c_str(),
       fields[16].c_str());
  std::string text = content("/proc/self/stat");
  YES(text.substr(0, text.find(' ')) == std::to_string(getpid()));
}

CASE(name_with_parentheses_in_stat) {
  prctl(PR_SET_NAME, "a) b (c");
  std::string text = content("/proc/self/stat");
  frame::text("name", text.substr(text.find('('), text.rfind(')') - text.find('(') + 1).c_str());
}

CASE(sizes_agree) {
  std::string statm = content("/proc/self/statm");
  unsigned long total = 0, resident = 0;
  SHOW(sscanf(statm.c_str(), "%lu %lu", &total, &resident));
  unsigned long by_status = strtoul(field("/proc/self/status", "VmSize").c_str(), nullptr, 10);
  YES(by_status / 4 == total);
  YES(resident > 0 && resident <= total);
}

CASE(resident_memory_grows) {
  auto resident = [] { return strtol(field("/proc/self/status", "VmRSS").c_str(), nullptr, 10); };
  long before = resident();
  size_t size = 32 << 20;
  char* memory = static_cast<char*>(
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  memset(memory, 1, size);
  YES(resident() - before >= 30000);
  munmap(memory, size);
  YES(resident() - before < 10000);
}

CASE(maps_show_mappings) {
  int fd = frame::made("mapped");
  ftruncate(fd, 3 * 4096);
  char* memory = static_cast<char*>(mmap(nullptr, 2 * 4096, PROT_READ, MAP_SHARED, fd, 4096));
  char expected[64];
  sprintf(expected, "%lx-%lx r--s 00001000", frame::word(memory), frame::word(memory) + 8192);
  bool found = false;
  for (const std::string& line : lines(content("/proc/self/maps"))) {
    if (line.compare(0, strlen(expected), expected) != 0) continue;
    found = line.size() > 7 && line.compare(line.size() - 7, 7, "/mapped") == 0;
  }
  YES(found);
  munmap(memory, 8192);
  found = content("/proc/self/maps").find(expected) != std::string::npos;
  YES(found);
}

CASE(maps_show_deleted_files) {
  int fd = frame::made("mapped");
  ftruncate(fd, 4096);
  mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0);
  unlink("mapped");
  YES(content("/proc/self/maps").find("/mapped (deleted)\n") != std::string::npos);
}

CASE(maps_show_what_is_special) {
  std::string maps = content("/proc/self/maps");
  sbrk(4096);
  for (const char* name : {"[stack]", "[heap]", "[vdso]"}) {
    line("%s %d", name, content("/proc/self/maps").find(name) != std::string::npos);
  }
  YES(maps.find(frame::program()) != std::string::npos);
}

CASE(maps_follow_protections) {
  char* memory = static_cast<char*>(
      mmap(nullptr, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  mprotect(memory + 4096, 4096, PROT_NONE);
  char expected[64];
  sprintf(expected, "%lx-%lx ---p 00000000", frame::word(memory) + 4096,
          frame::word(memory) + 8192);
  YES(content("/proc/self/maps").find(expected) != std::string::npos);
}

CASE(smaps_agree_with_maps) {
  SHOW(lines(content("/proc/self/smaps")).size() > lines(content("/proc/self/maps")).size() * 10);
  YES(content("/proc/self/smaps").find("\nRss:") != std::string::npos);
  YES(content("/proc/self/smaps").find("\nPrivate_Dirty:") != std::string::npos);
}

CASE(memory_is_read_and_written) {
  char text[] = "in memory";
  int fd = open("/proc/self/mem", O_RDWR);
  char data[16] = {};
  CALL(pread(fd, data, 9, frame::word(&text[0])));
  frame::text("data", data);
  CALL(pwrite(fd, "BY", 2, frame::word(&text[0])));
  frame::text("text", text);
  CALL(pread(fd, data, 1, 4096));
}

CASE(links_of_a_process) {
  char path[4096];
  getcwd(path, sizeof(path));
  YES(link_of("/proc/self/cwd") == path);
  YES(link_of("/proc/self/root") == "/");
  YES(link_of("/proc/self/exe") == frame::program());
  frame::put("x", "content");
  frame::text("through cwd", content("/proc/self/cwd/x").c_str());
  YES(access("/proc/self/root/proc", F_OK) == 0);
}

CASE(descriptors_of_a_process) {
  frame::made("x");
  auto all = names("/proc/self/fd");
  YES(has(all, "0") && has(all, "1") && has(all, "2") && has(all, "3"));
  YES(link_of("/proc/self/fd/0") == "/dev/null");
  SHOW(all.size());
  struct stat found;
  CALL(lstat("/proc/self/fd/3", &found));
  line("%s %o", frame::type_name(found.st_mode), found.st_mode & 0777);
  open("x", O_RDONLY);
  CALL(lstat("/proc/self/fd/4", &found));
  line("%o", found.st_mode & 0777);
}

CASE(kinds_of_descriptors) {
  int ends[2];
  pipe(ends);
  open("/dev/zero", O_RDONLY);
  memfd_create("name", 0);
  for (int fd = 3; fd < 7; fd++) {
    std::string target = link_of("/proc/self/fd/" + std::to_string(fd));
    line("%s", target.substr(0, target.find('[')).c_str());
  }
}

CASE(descriptor_information) {
  int fd = open("x", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  write(fd, "content", 7);
  show_field("/proc/self/fdinfo/3", "pos");
  show_field("/proc/self/fdinfo/3", "flags");
  YES(is_number(field("/proc/self/fdinfo/3", "mnt_id")));
}

CASE(limits_of_a_process) {
  auto all = lines(content("/proc/self/limits"));
  SHOW(all.size());
  for (const std::string& one : all) {
    if (one.compare(0, 14, "Max open files") == 0 || one.compare(0, 5, "Limit") == 0 ||
        one.compare(0, 13, "Max core file") == 0) {
      frame::text("line", one.c_str());
    }
  }
}

CASE(mounts_agree) {
  auto mounts = lines(content("/proc/self/mounts"));
  auto info = lines(content("/proc/self/mountinfo"));
  YES(mounts.size() == info.size());
  YES(link_of("/proc/mounts") == "self/mounts");
  bool proc = false;
  for (const std::string& one : mounts)
    proc = proc || one.find(" /proc proc ") != std::string::npos;
  YES(proc);
  bool separators = true;
  for (const std::string& one : info)
    separators = separators && one.find(" - ") != std::string::npos;
  YES(separators);
  const char* scratch = getenv("TMPDIR");
  bool own_mount = false;
  for (const std::string& one : mounts)
    own_mount = own_mount || one.find(std::string(" ") + scratch + " tmpfs ") != std::string::npos;
  YES(own_mount);
}

CASE(namespaces_of_a_process) {
  auto all = names("/proc/self/ns");
  for (const char* name : {"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"}) {
    std::string target = link_of(std::string("/proc/self/ns/") + name);
    line("%s %d %s", name, has(all, name), target.substr(0, target.find('[')).c_str());
  }
  YES(link_of("/proc/self/ns/pid") == link_of("/proc/" + std::to_string(getppid()) + "/ns/pid"));
}

CASE(id_maps) {
  std::string map = content("/proc/self/uid_map");
  unsigned inside = 1, outside = 1, count = 0;
  SHOW(sscanf(map.c_str(), "%u %u %u", &inside, &outside, &count));
  SHOW(inside);
  frame::cat("/proc/self/setgroups");
}

CASE(oom_score) {
  frame::cat("/proc/self/oom_score_adj");
  int fd = open("/proc/self/oom_score_adj", O_WRONLY);
  CALL(write(fd, "500", 3));
  frame::cat("/proc/self/oom_score_adj");
  CALL(write(fd, "5000", 4));
}

CASE(memory_of_the_machine) {
  const char* file = "/proc/meminfo";
  for (const char* name : {"MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "SwapTotal",
                           "SwapFree", "Shmem"}) {
    std::string value = field(file, name);
    line("%s %d", name, value.size() > 3 && value.substr(value.size() - 3) == " kB");
  }
  auto number = [=](const char* name) { return strtoul(field(file, name).c_str(), nullptr, 10); };
  YES(number("MemFree") <= number("MemTotal"));
  struct sysinfo info;
  sysinfo(&info);
  unsigned long by_call = info.totalram / 1024 * info.mem_unit;
  YES(number("MemTotal") == by_call);
}

CASE(processors_of_the_machine) {
  int count = 0;
  for (const std::string& line : lines(content("/proc/cpuinfo")))
    count += line.compare(0, 9, "processor") == 0;
  YES(count == get_nprocs());
  for (const char* name : {"vendor_id", "model name", "flags", "cache size", "bogomips"}) {
    line("%s %d", name,
         content("/proc/cpuinfo").find(std::string("\n") + name) != std::string::npos);
  }
}

CASE(statistics_of_the_machine) {
  auto all = lines(content("/proc/stat"));
  int processors = 0;
  for (const std::string& line : all) processors += line.compare(0, 3, "cpu") == 0;
  YES(processors == get_nprocs() + 1);
  for (const char* name :
       {"intr", "ctxt", "btime", "processes", "procs_running", "procs_blocked"}) {
    bool found = false;
    for (const std::string& line : all)
      found = found || line.compare(0, strlen(name) + 1, std::string(name) + " ") == 0;
    line("%s %d", name, found);
  }
}

CASE(times_of_the_machine) {
  double up = 0, idle = 0;
  SHOW(sscanf(content("/proc/uptime").c_str(), "%lf %lf", &up, &idle));
  timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  YES(static_cast<double>(now.tv_sec) - up < 5 && up - static_cast<double>(now.tv_sec) < 5);
  double load[3];
  int running, total, last;
  SHOW(sscanf(content("/proc/loadavg").c_str(), "%lf %lf %lf %d/%d %d", load, load + 1, load + 2,
              &running, &total, &last));
}

CASE(version_of_the_kernel) {
  YES(content("/proc/version").compare(0, 14, "Linux version ") == 0);
  YES(content("/proc/sys/kernel/ostype") == "Linux\n");
  YES(content("/proc/sys/kernel/osrelease").size() > 3);
}

CASE(settings_of_the_kernel) {
  for (const char* name :
       {"kernel/pid_max", "kernel/ngroups_max", "kernel/cap_last_cap", "kernel/random/uuid",
        "kernel/random/boot_id", "kernel/hostname", "vm/overcommit_memory", "fs/file-max",
        "fs/nr_open", "fs/pipe-max-size", "net/core/somaxconn", "vm/max_map_count"}) {
    std::string value = content(std::string("/proc/sys/") + name);
    line("%s %d", name, value.size() > 1 && value[0] != '<' && value.back() == '\n');
  }
  frame::cat("/proc/sys/kernel/ngroups_max");
  YES(content("/proc/sys/kernel/random/uuid") != content("/proc/sys/kernel/random/uuid"));
  YES(content("/proc/sys/kernel/random/boot_id") == content("/proc/sys/kernel/random/boot_id"));
  YES(content("/proc/sys/kernel/random/uuid").size() == 37);
}

CASE(file_systems) {
  std::string text = content("/proc/filesystems");
  for (const char* name : {"nodev\ttmpfs\n", "nodev\tproc\n", "nodev\tsysfs\n"})
    line("%d", text.find(name) != std::string::npos);
}

CASE(network_tables) {
  for (const char* name : {"tcp", "udp", "unix", "dev", "route", "if_inet6"}) {
    std::string value = content(std::string("/proc/self/net/") + name);
    line("%s %d", name, !value.empty() && value[0] != '<');
  }
  YES(link_of("/proc/net") == "self/net");
  YES(content("/proc/net/dev").find("lo:") != std::string::npos);
}

CASE(seeking_in_files) {
  int fd = open("/proc/self/status", O_RDONLY);
  char first[6] = {}, again[6] = {};
  CALL(read(fd, first, 5));
  CALL(lseek(fd, 0, SEEK_SET));
  CALL(read(fd, again, 5));
  YES(strcmp(first, again) == 0);
  CALL(pread(fd, again, 4, 1));
  frame::text("again", again);
  CALL(lseek(fd, -1, SEEK_SET));
}

CASE(files_are_read_in_pieces) {
  std::string whole = content("/proc/self/limits"), pieces;
  int fd = open("/proc/self/limits", O_RDONLY);
  char byte[7];
  ssize_t size;
  while ((size = read(fd, byte, sizeof(byte))) > 0) pieces.append(byte, static_cast<size_t>(size));
  YES(whole == pieces);
}

CASE(files_have_no_size) {
  struct stat found;
  CALL(stat("/proc/self/status", &found));
  line("%s %o size %ld owner %u", frame::type_name(found.st_mode), found.st_mode & 0777,
       found.st_size, found.st_uid);
  CALL(stat("/proc/self", &found));
  line("%s %o", frame::type_name(found.st_mode), found.st_mode & 0777);
  CALL(stat("/proc/self/fd", &found));
  line("%s %o", frame::type_name(found.st_mode), found.st_mode & 0777);
}

CASE(files_are_not_changed) {
  CALL(open("/proc/self/status", O_WRONLY));
  CALL(unlink("/proc/self/status"));
  CALL(chmod("/proc/self/status", 0777));
  CALL(rename("/proc/self/status", "/proc/self/other"));
  CALL(truncate("/proc/self/maps", 0));
}

CASE(owners_of_files) {
  frame::in_child([] {
    setresgid(1001, 1001, 1001);
    setresuid(1000, 1000, 1000);
    prctl(PR_SET_DUMPABLE, 1);
    struct stat found;
    CALL(stat("/proc/self/status", &found));
    line("%u:%u", found.st_uid, found.st_gid);
  });
}

CASE(descriptors_of_others_are_private) {
  frame::in_child([] {
    std::string parent = "/proc/" + std::to_string(getppid());
    setresuid(1000, 1000, 1000);
    CALL(access((parent + "/status").c_str(), R_OK));
    CALL(access((parent + "/fd/0").c_str(), R_OK));
    CALL(readlink((parent + "/exe").c_str(), nullptr, 0));
    CALL(open((parent + "/environ").c_str(), O_RDONLY));
    CALL(open((parent + "/maps").c_str(), O_RDONLY));
  });
}

CASE(tasks_of_a_process) {
  auto all = names("/proc/self/task");
  SHOW(all.size() - 2);
  std::string path = "/proc/self/task/" + std::to_string(gettid());
  YES(content(path + "/comm") == content("/proc/self/comm"));
  YES(field(path + "/status", "Pid") == std::to_string(gettid()));
  CALL(access("/proc/self/task/1234567", F_OK));
}

CASE(directories_outlive_their_process_badly) {
  frame::Gate gate;
  pid_t pid = frame::child([&] { gate.wait(); });
  int fd = open(("/proc/" + std::to_string(pid)).c_str(), O_RDONLY | O_DIRECTORY);
  int status_file = openat(fd, "status", O_RDONLY);
  gate.open();
  frame::join(pid);
  CALL(openat(fd, "status", O_RDONLY));
  char byte;
  CALL(read(status_file, &byte, 1));
}
