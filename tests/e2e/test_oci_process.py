"""What config.json says of the process: who it is, what it may, what limits it has."""

import json
import os
import platform
import re
import unittest

import harness
from oci_case import OciCase

ALL_SETS = ("bounding", "effective", "inheritable", "permitted", "ambient")


def capabilities(*names, sets=ALL_SETS):
    return {"capabilities": {kind: [f"CAP_{name}" for name in names] if kind in sets else []
                             for kind in ALL_SETS}}


class Process(OciCase):
    def status(self, process, *fields, script=""):
        """Fields of /proc/self/status of a program with these settings."""
        out = self.output_of(script + "cat /proc/self/status", {"process": process})
        values = dict(line.split(":\t", 1) for line in out.splitlines() if ":\t" in line)
        return [values[field].strip() for field in fields]

    # Who it is.

    def test_user_groups_and_umask(self):
        user = {"uid": 1000, "gid": 2000, "additionalGids": [3000, 4000], "umask": 0o027}
        uid, gid, groups, umask = self.status({"user": user}, "Uid", "Gid", "Groups", "Umask")
        self.assertEqual(uid.split(), ["1000"] * 4)
        self.assertEqual(gid.split(), ["2000"] * 4)
        self.assertEqual(groups.split(), ["3000", "4000"])
        self.assertEqual(umask, "0027")

    def test_groups_of_the_caller_are_not_kept(self):
        bundle = self.bundle("/bin/id", "-G")
        done = self.oci("run", "--bundle", bundle, self.name, extra_groups=[1234, 5678])
        self.assertEqual(done.out, "0\n", str(done))

    def test_home_comes_from_the_image_unless_given(self):
        def prepare(rootfs):
            with open(os.path.join(rootfs, "etc/passwd"), "a", encoding="ascii") as file:
                file.write("dev:x:1000:1000::/home/dev:/bin/sh\n")
        for user, env, home in ((0, [], "/root"), (1000, [], "/home/dev"), (77, [], "/"), (0, ["HOME=/x"], "/x"),
                                (1000, ["HOME="], "/home/dev")):
            with self.subTest(user=user, env=env):
                out = self.output_of("echo $HOME", {"process": {
                    "user": {"uid": user, "gid": 0}, "env": ["PATH=/bin", *env]}}, prepare=prepare)
                self.assertEqual(out, home + "\n")

    def test_environment_is_the_given_one_only(self):
        bundle = self.bundle("/bin/env", changes={"process": {"env": ["A=1", "B=two words", "A=2", "HOME=/x"]}})
        done = self.oci("run", "--bundle", bundle, self.name, env={"LEAK": "1"})
        values = done.out.splitlines()
        self.assertEqual(sorted(set(values)), ["A=2", "B=two words", "HOME=/x"], str(done))

    def test_working_directory_is_made_and_entered(self):
        out = self.output_of("pwd; ls -ld .", {"process": {"cwd": "/made/for/this"}, "root": {"readonly": False}})
        self.assertEqual(out.splitlines()[0], "/made/for/this")

    def test_a_working_directory_only_the_user_can_enter(self):
        def prepare(rootfs):
            os.makedirs(os.path.join(rootfs, "own"))
            os.chown(os.path.join(rootfs, "own"), 1000, 1000)
            os.chmod(os.path.join(rootfs, "own"), 0o700)
        self.assertEqual(self.output_of("pwd", {"process": {"cwd": "/own", "user": {"uid": 1000, "gid": 1000}}},
                                        prepare=prepare), "/own\n")

    def test_arguments_arrive_unchanged_and_the_path_of_the_environment_is_searched(self):
        bundle = self.bundle("printf", "<%s>", "", "a b", "ü", "--", changes={"process": {"env": ["PATH=/bin"]}})
        self.assertEqual(self.oci("run", "--bundle", bundle, self.name).out, "<><a b><ü><-->")
        bundle = self.bundle("printf", "x", changes={"process": {"env": ["PATH=/nowhere"]}})
        done = self.oci("run", "--bundle", bundle, self.name)
        self.assertIn('exec: "printf": executable file not found in $PATH', done.err)

    # What it may.

    def test_capabilities_of_root(self):
        sets = self.status(capabilities("KILL", "CHOWN", sets=("bounding", "effective", "permitted")),
                           "CapBnd", "CapEff", "CapPrm", "CapInh", "CapAmb")
        expected = (1 << 5) | 1
        self.assertEqual([int(value, 16) for value in sets], [expected] * 3 + [0, 0])

    def test_no_capabilities_at_all(self):
        sets = self.status(capabilities(), "CapBnd", "CapEff", "CapPrm", "CapInh", "CapAmb")
        self.assertEqual([int(value, 16) for value in sets], [0] * 5)

    def test_capabilities_of_a_user_are_ambient_or_none(self):
        user = {"user": {"uid": 1000, "gid": 1000}}
        sets = self.status({**user, **capabilities("NET_RAW", "CHOWN")},
                           "CapBnd", "CapEff", "CapPrm", "CapInh", "CapAmb")
        self.assertEqual([int(value, 16) for value in sets], [(1 << 13) | 1] * 5)
        sets = self.status({**user, **capabilities("CHOWN", sets=("bounding", "effective", "permitted"))},
                           "CapBnd", "CapEff", "CapPrm", "CapInh", "CapAmb")
        self.assertEqual([int(value, 16) for value in sets], [1, 0, 0, 0, 0])

    def test_no_new_privileges(self):
        self.assertEqual(self.status({"noNewPrivileges": True}, "NoNewPrivs"), ["1"])
        self.assertEqual(self.status({"noNewPrivileges": False}, "NoNewPrivs"), ["0"])

    # Limits and scheduling.

    def test_limits(self):
        limits = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
                  {"type": "RLIMIT_STACK", "soft": 1 << 20, "hard": 1 << 21},
                  {"type": "RLIMIT_NPROC", "soft": 1000, "hard": 1000}]
        out = self.output_of("cat /proc/self/limits", {"process": {"rlimits": limits}})
        for name, soft, hard in (("Max open files", 100, 200), ("Max core file size", 0, 0),
                                 ("Max stack size", 1 << 20, 1 << 21), ("Max processes", 1000, 1000)):
            self.assertRegex(out, rf"{name}\s+{soft}\s+{hard}\s")

    def test_the_user_can_open_its_standard_streams_anew(self):
        null = os.stat("/dev/null")
        done = self.run_in("echo out > /dev/stdout; echo err > /dev/stderr", {"process": {"user": {"uid": 33, "gid": 33}}})
        self.assertEqual((done.status, done.out, done.err), (0, "out\n", "err\n"), str(done))
        # Devices of the host keep their owner: the standard input was one.
        self.assertEqual(os.stat("/dev/null").st_uid, null.st_uid)

    def test_a_limit_given_twice_is_refused(self):
        limit = {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 100}
        done = self.run_in("true", {"process": {"rlimits": [limit, limit]}})
        self.assertNotEqual(done.status, 0)
        self.assertIn("RLIMIT_NOFILE", done.err)

    def test_oom_score(self):
        self.assertEqual(self.output_of("cat /proc/self/oom_score_adj", {"process": {"oomScoreAdj": 321}}), "321\n")
        with open("/proc/self/oom_score_adj", encoding="ascii") as file:
            own = file.read()
        self.assertEqual(self.output_of("cat /proc/self/oom_score_adj"), own)

    def test_scheduler_and_io_priority(self):
        process = {"scheduler": {"policy": "SCHED_BATCH", "nice": 7},
                   "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 6}}
        out = self.output_of("cut -d' ' -f19,41 /proc/self/stat; ionice -p $$", {"process": process})
        self.assertEqual(out, "7 3\nbest-effort: prio 6\n")

    def test_signals_are_as_after_a_login(self):
        bundle = self.bundle("/bin/cat", "/proc/self/status")
        ignore = "trap '' INT PIPE HUP; exec \"$@\""
        done = harness.run(["sh", "-c", ignore, "sh", os.path.join(os.path.dirname(harness.CAISSON), "caisson-oci"),
                            "--root", self.state, "run", "--bundle", bundle, self.name])
        for field in ("SigBlk", "SigIgn", "SigCgt"):
            self.assertRegex(done.out, rf"{field}:\t0+\n")

    # seccomp.

    def seccomp(self, *rules, default="SCMP_ACT_ALLOW", **more):
        return {"linux": {"seccomp": {"defaultAction": default, "architectures": ["SCMP_ARCH_X86_64"],
                                      "syscalls": list(rules), **more}}}

    def test_seccomp_gives_the_error_asked_for(self):
        rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}
        for nnp in (True, False):
            with self.subTest(noNewPrivileges=nnp):
                changes = {**self.seccomp(rule), "process": {"noNewPrivileges": nnp}, "root": {"readonly": False}}
                out = self.output_of("mkdir /x 2>&1; grep Seccomp: /proc/self/status; exit 0", changes)
                self.assertIn("No space left on device", out)
                self.assertIn("Seccomp:\t2", out)

    def test_seccomp_kills(self):
        rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"}
        out = self.output_of("mkdir /tmp/x; echo status $?", self.seccomp(rule))
        self.assertEqual(out, "status 159\n")  # SIGSYS

    def test_seccomp_looks_at_arguments(self):
        rules = [{"names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": 28,
                  "args": [{"index": index, "value": 0o777, "op": "SCMP_CMP_EQ"}]}
                 for name, index in (("chmod", 1), ("fchmodat", 2))]
        out = self.output_of("touch /tmp/x; chmod 777 /tmp/x 2>&1; chmod 776 /tmp/x && stat -c %a /tmp/x",
                             {**self.seccomp(*rules), "root": {"readonly": False}})
        self.assertIn("No space left on device", out)
        self.assertTrue(out.endswith("776\n"), out)

    def test_seccomp_with_a_denying_default_lets_what_is_named_run(self):
        names = ["execve", "brk", "arch_prctl", "set_tid_address", "set_robust_list", "rseq", "prlimit64", "readlink",
                 "readlinkat", "getrandom", "mprotect", "mmap", "munmap", "getuid", "setuid", "setgid", "write", "writev",
                 "exit_group", "exit", "fstat", "newfstatat", "prctl", "ioctl"]
        bundle = self.bundle("/bin/echo", "ran", changes=self.seccomp(
            {"names": names, "action": "SCMP_ACT_ALLOW"}, default="SCMP_ACT_ERRNO"))
        done = self.oci("run", "--bundle", bundle, self.name)
        self.assertEqual((done.status, done.out), (0, "ran\n"), str(done))

    def test_seccomp_applies_to_exec_too(self):
        rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}
        self.start_new(self.bundle("/bin/sleep", "1000", changes=self.seccomp(rule)))
        done = self.oci("exec", self.name, "mkdir", "/tmp/x")
        self.assertIn("No space left on device", done.err)
        self.delete("--force")

    def test_unknown_seccomp_values_are_refused(self):
        for change, word in (({"defaultAction": "SCMP_ACT_NOSUCH"}, "SCMP_ACT_NOSUCH"),
                             ({"architectures": ["SCMP_ARCH_NOSUCH"]}, "SCMP_ARCH_NOSUCH"),
                             ({"flags": ["SECCOMP_FILTER_FLAG_NOSUCH"]}, "SECCOMP_FILTER_FLAG_NOSUCH")):
            seccomp = self.seccomp()
            seccomp["linux"]["seccomp"].update(change)
            done = self.run_in("true", seccomp)
            self.assertNotEqual(done.status, 0)
            self.assertIn(word, done.err)

    # Names, sysctls, devices, personality.

    def test_host_and_domain_name(self):
        out = self.output_of("hostname; cat /proc/sys/kernel/domainname",
                             {"hostname": "a-host", "domainname": "a.domain"})
        self.assertEqual(out, "a-host\na.domain\n")

    def test_sysctls(self):
        sysctl = {"net.ipv4.ip_forward": "1", "kernel.shmmax": "123456", "net/ipv4/ip_default_ttl": "99",
                  "fs.mqueue.msg_max": "17"}
        out = self.output_of("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax "
                             "/proc/sys/net/ipv4/ip_default_ttl /proc/sys/fs/mqueue/msg_max",
                             {"linux": {"sysctl": sysctl}})
        self.assertEqual(out, "1\n123456\n99\n17\n")

    def test_a_sysctl_of_the_host_is_refused(self):
        for key, kept in (("kernel.panic", ()), ("net.ipv4.ip_forward", ("network",)), ("kernel.shmmax", ("ipc",))):
            with self.subTest(key):
                namespaces = [entry for entry in harness.default_config()["linux"]["namespaces"]
                              if entry["type"] not in kept]
                done = self.run_in("true", {"linux": {"sysctl": {key: "1"}, "namespaces": namespaces}})
                self.assertNotEqual(done.status, 0)
                self.assertIn(key, done.err)

    def test_devices_are_made_and_ruled(self):
        linux = {"devices": [{"path": "/dev/extra", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640,
                              "uid": 7, "gid": 8},
                             {"path": "/dev/denied", "type": "c", "major": 1, "minor": 4, "fileMode": 0o666},
                             {"path": "/dev/dir/pipe", "type": "p", "fileMode": 0o600}],
                 "resources": {"devices": [{"allow": False, "access": "rwm"},
                                           {"allow": True, "type": "c", "major": 1, "minor": 5, "access": "r"}]}}
        script = ("stat -c '%n %F %t:%T %a %u %g' /dev/extra /dev/dir/pipe; head -c 2 /dev/extra | od -An -tx1; "
                  "head -c1 /dev/denied 2>&1; echo ok > /dev/null; "
                  "head -c1 /dev/urandom | wc -c")
        out = self.output_of(script, {"linux": linux, "process": capabilities("DAC_OVERRIDE", "SYS_RAWIO")}).splitlines()
        self.assertEqual(out[0], "/dev/extra character special file 1:5 640 7 8")
        self.assertTrue(out[1].startswith("/dev/dir/pipe fifo"), out[1])
        self.assertEqual(out[2].split(), ["00", "00"])
        self.assertIn("Operation not permitted", out[3])
        self.assertEqual(out[4], "1")

    @unittest.skipUnless(platform.machine() == "x86_64", "a personality of x86")
    def test_personality(self):
        self.assertIn(self.output_of("uname -m", {"linux": {"personality": {"domain": "LINUX32"}}}),
                      ("i686\n", "i386\n"))

    # Beside runc, with the configuration that engines start from.

    def test_the_default_configuration_gives_what_runc_gives(self):
        runc = harness.shutil.which("runc")
        if runc is None:
            self.skipTest("runc is not installed")
        script = ("cat /proc/self/mountinfo; echo ==; grep -E '^(Cap|NoNew|Seccomp:|Groups|Umask|Sig(Blk|Ign|Cgt))' "
                  "/proc/self/status; echo ==; cat /proc/self/limits; echo ==; cat /proc/self/cgroup; echo ==; "
                  "ls -ln /dev")
        bundle = os.path.join(self.dir, "default")
        self.busybox_rootfs(os.path.join(bundle, "rootfs"))
        self.assert_ok(harness.run([runc, "spec", "--bundle", bundle]))
        with open(os.path.join(bundle, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        config["process"].update(terminal=False, args=["sh", "-c", script])
        self.write_config(bundle, config)
        ours = self.oci("run", "--bundle", bundle, self.name)
        theirs = harness.run([runc, "--root", os.path.join(self.dir, "runc"), "run", "--bundle", bundle, self.name])
        self.assert_ok(ours)
        self.assert_ok(theirs)
        for name, own, other in zip(("mountinfo", "status", "limits", "cgroup", "dev"),
                                    ours.out.split("==\n"), theirs.out.split("==\n")):
            with self.subTest(name):
                self.assertEqual(self.normalised(name, own), self.normalised(name, other))

    @staticmethod
    def normalised(name, text):
        lines = text.splitlines()
        if name == "mountinfo":
            out = []
            for line in lines:
                before, after = line.split(" - ")
                fields, (kind, _, super_options) = before.split(), after.split(" ", 2)
                if fields[4].startswith("/sys/fs/cgroup"):
                    continue  # we show cgroup v2 too, and read-only as the configuration asks for
                if fields[3] == "/null":  # a masked file, whichever null device it is
                    out.append((fields[4], "null"))
                    continue
                options = sorted(fields[5].split(","))
                device = fields[2] if kind not in ("tmpfs", "proc", "sysfs", "devpts", "mqueue", "cgroup") else ""
                root = fields[3] if "bundle" not in fields[3] and kind != "cgroup" else ""
                # What a mask is made of differs: an empty directory that nobody can write is both.
                sizes = []
                if kind in ("tmpfs", "mqueue", "devpts") and "ro" not in options:
                    sizes = sorted(option for option in super_options.split(",") if not option.startswith("inode"))
                out.append((fields[4], kind, options, root if kind != "tmpfs" else "", bool(device) and device, sizes))
            return sorted(out, key=str)
        if name == "dev":
            # Owner, size or number, name; no dates. Which directories are counted as links differs.
            return sorted(re.sub(r"\s+", " ", re.sub(r"\w{3} +\d+ +[\d:]+ ", "", line.split(" ", 1)[0] + " " +
                                                     " ".join(line.split()[2:]))) for line in lines[1:])
        if name == "cgroup":
            # By default we start at the top, runc where it is itself; both in every hierarchy.
            return sorted((line.split(":")[1], line.rsplit("/", 1)[1]) for line in lines)
        return lines


if __name__ == "__main__":
    harness.main()
