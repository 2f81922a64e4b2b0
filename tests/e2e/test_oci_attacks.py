"""What a hostile image or configuration tries against the runtime."""

import hashlib
import json
import os
import stat

import harness
from oci_case import OciCase

SLEEP = ("/bin/sleep", "1000")


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


class Attacks(OciCase):
    """Each test ends with our own executable unchanged."""

    def setUp(self):
        super().setUp()
        before = digest(harness.CAISSON)
        self.addCleanup(lambda: self.assertEqual(digest(harness.CAISSON), before))

    def writable(self, *args, changes=None):
        return self.bundle(*args, changes=harness.deep_update({"root": {"readonly": False}}, changes or {}))

    # CVE-2019-5736 and its relatives: our executable through /proc/self/exe.

    def assert_not_ours(self, done):
        """What ran was not our program: neither its help nor its errors are to be seen."""
        text = done.out + done.err.replace(done.argv[0], "")
        for word in ("caisson-oci", "Usage:", "unknown command"):
            self.assertNotIn(word, text, str(done))

    def test_our_executable_as_the_program(self):
        for link in ("/proc/self/exe", "/proc/thread-self/exe", "/proc/1/exe"):
            with self.subTest(link):
                done = self.oci("run", "--bundle", self.bundle(link, "--version"), self.name, timeout=20)
                self.assertNotEqual(done.status, 0)
                self.assert_not_ours(done)

    def test_our_executable_as_the_interpreter_of_a_script(self):
        bundle = self.writable("/evil")
        path = os.path.join(bundle, "rootfs/evil")
        for link in ("/proc/self/exe", "/proc/1/exe"):
            with self.subTest(link):
                with open(path, "w", encoding="ascii") as file:
                    file.write(f"#!{link}\n")
                os.chmod(path, 0o755)
                done = self.oci("run", "--bundle", bundle, self.name, timeout=20)
                self.assertNotEqual(done.status, 0)
                self.assert_not_ours(done)

    def test_our_executable_behind_a_link_in_the_image(self):
        bundle = self.writable("/link", "--version")
        os.symlink("/proc/self/exe", os.path.join(bundle, "rootfs/link"))
        done = self.oci("run", "--bundle", bundle, self.name, timeout=20)
        self.assertNotEqual(done.status, 0)
        self.assert_not_ours(done)

    def test_a_waiting_init_shows_no_file_of_the_host(self):
        self.assert_ok(self.create(self.bundle(*SLEEP)))
        pid = self.state_of()["pid"]
        exe = os.readlink(f"/proc/{pid}/exe")
        self.assertTrue(exe.startswith("/memfd:"), exe)
        with open(f"/proc/{pid}/maps", encoding="ascii") as file:
            self.assertNotIn(os.path.basename(os.path.realpath(harness.CAISSON)) + "\n",
                             [line.rsplit("/", 1)[-1] for line in file if "memfd" not in line])
        # Written to, even by root of the host, it does not change.
        with self.assertRaises(OSError):
            with open(f"/proc/{pid}/exe", "r+b"):
                pass
        self.delete()

    def test_exec_shows_no_file_of_the_host_to_processes_that_look(self):
        """A watch that may look at every process it can see: a process of ours must not be one."""
        watch = ("trap 'echo done; exit' TERM; while :; do for p in /proc/[0-9]*; do e=$(readlink $p/exe); case $e in "
                 "/bin/busybox|/memfd*|'') ;; *) echo seen $e;; esac; done; done")
        self.start_new(self.bundle("/bin/sh", "-c", watch, changes={
            "process": {"capabilities": {kind: ["CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_KILL", "CAP_SYS_PTRACE"]
                                         for kind in ("bounding", "effective", "permitted")}}}))
        for _ in range(30):
            self.oci("exec", self.name, "true")
        self.assert_ok(self.oci("kill", self.name, "TERM"))
        harness.wait_until(lambda: "done" in self.kept_output(), "the watch ends", 60)
        self.assertEqual(self.kept_output(), "done\n")
        self.wait_stopped()
        self.delete()

    def test_exec_of_our_executable(self):
        self.start_new(self.bundle(*SLEEP))
        for link in ("/proc/self/exe", "/proc/thread-self/exe"):
            done = self.oci("exec", self.name, link, "--version", timeout=20)
            self.assertNotEqual(done.status, 0)
            self.assert_not_ours(done)
        self.delete("--force")

    # Descriptors and directories of the host.

    def test_a_working_directory_outside_is_refused(self):
        """CVE-2024-21626: a working directory below /proc/self/fd that is open on the host."""
        for fd in range(3, 12):
            done = self.run_in("pwd; ls", {"process": {"cwd": f"/proc/self/fd/{fd}"}}, timeout=20)
            self.assertNotEqual(done.status, 0, f"{fd}: {done}")
            self.assertEqual(done.out, "", f"{fd}: {done}")
            self.oci("delete", "--force", self.name)
        self.start_new(self.bundle(*SLEEP))
        for fd in range(3, 12):
            done = self.oci("exec", "--cwd", f"/proc/self/fd/{fd}", self.name, "ls", timeout=20)
            self.assertNotEqual(done.status, 0, f"{fd}: {done}")
            self.assertEqual(done.out, "", f"{fd}: {done}")
        self.delete("--force")

    def test_a_working_directory_behind_a_link_stays_inside(self):
        bundle = self.writable("/bin/pwd", changes={"process": {"cwd": "/way/out"}})
        os.symlink("/../../../../..", os.path.join(bundle, "rootfs/way"))
        before = os.path.lexists("/out")
        done = self.oci("run", "--bundle", bundle, self.name)
        self.assertEqual((done.status, done.out), (0, "/out\n"), str(done))
        self.assertEqual(os.path.lexists("/out"), before)

    def test_mount_targets_that_are_links_stay_inside(self):
        """CVE-2019-16884, CVE-2021-30465 and CVE-2023-27561 in their simple forms."""
        outside = os.path.join(self.dir, "outside")
        os.mkdir(outside)
        for name, target in (("absolute", outside), ("relative", "../" * 12 + outside.lstrip("/"))):
            with self.subTest(name):
                bundle = self.writable("/bin/cat", f"{outside}/t/inside", changes={"mounts": harness.default_config()[
                    "mounts"] + [{"destination": "/link/t", "type": "tmpfs", "source": "tmpfs"},
                                 {"destination": "/link/t/inside", "source": "/etc/hostname", "options": ["bind"]}]})
                os.symlink(target, os.path.join(bundle, "rootfs/link"))
                os.makedirs(os.path.join(bundle, "rootfs" + outside))
                done = self.oci("run", "--bundle", bundle, self.name)
                self.assert_ok(done)
                self.assertEqual(os.listdir(outside), [])
                self.assertTrue(os.path.isdir(os.path.join(bundle, "rootfs" + outside, "t")))

    def test_proc_and_sys_must_be_real_directories(self):
        for name in ("proc", "sys"):
            with self.subTest(name):
                bundle = self.writable("/bin/true")
                os.rmdir(os.path.join(bundle, "rootfs", name))
                os.symlink("/tmp", os.path.join(bundle, "rootfs", name))
                done = self.oci("run", "--bundle", bundle, self.name)
                self.assertNotEqual(done.status, 0)
                self.assertIn(f"/{name}", done.err)

    def test_dev_that_is_a_link_touches_nothing_outside(self):
        outside = os.path.join(self.dir, "outside")
        os.mkdir(outside)
        bundle = self.writable("/bin/true")
        os.rmdir(os.path.join(bundle, "rootfs/dev"))
        os.symlink(outside, os.path.join(bundle, "rootfs/dev"))
        self.oci("run", "--bundle", bundle, self.name)
        self.assertEqual(os.listdir(outside), [])

    def test_nothing_may_be_mounted_over_proc_s_files(self):
        """CVE-2019-19921, CVE-2025-31133 and relatives: files of /proc that the runtime trusts."""
        for destination in ("/proc/self/attr", "/proc/1/attr/exec", "/proc/sys", "/proc/kcore"):
            with self.subTest(destination):
                kind = "tmpfs" if destination != "/proc/kcore" else "bind"
                mount = {"destination": destination, "type": kind, "source": "/etc/hostname",
                         "options": ["bind"] if kind == "bind" else []}
                done = self.run_in("true", {"mounts": harness.default_config()["mounts"] + [mount]})
                self.assertNotEqual(done.status, 0)
                self.assertIn("proc", done.err)

    def test_the_host_s_null_device_keeps_its_mode_and_owner(self):
        def null():
            info = os.stat("/dev/null")
            return info.st_mode & 0o7777, info.st_uid, info.st_gid

        def restore():
            os.chown("/dev/null", *before[1:])
            os.chmod("/dev/null", before[0])
        before = null()
        self.addCleanup(restore)
        more = {"process": {"capabilities": {kind: ["CAP_FOWNER", "CAP_CHOWN"] for kind in (
            "bounding", "effective", "permitted")}}}
        script = "for f in /proc/keys /proc/timer_list /dev/null; do chmod 600 $f; chown 33:33 $f; done 2>&1"
        without_dev = {"mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}]}
        for changes in (more, {**more, **without_dev}):
            done = self.run_in(script, changes)
            self.assertEqual(null(), before, str(done))

    def test_masked_paths_that_the_image_replaced(self):
        """CVE-2025-31133: /dev/null as a link makes the mask a bind mount of what the image names."""
        outside = os.path.join(self.dir, "secret")
        with open(outside, "w", encoding="ascii") as file:
            file.write("secret\n")
        config = {"linux": {"maskedPaths": ["/etc/masked", "/etc/link", "/proc/kcore"]}}
        bundle = self.writable("/bin/sh", "-c", "cat /etc/masked /etc/link; ls -l /proc/kcore; cat /proc/kcore",
                               changes=config)
        etc = os.path.join(bundle, "rootfs/etc")
        with open(os.path.join(etc, "masked"), "w", encoding="ascii") as file:
            file.write("hidden\n")
        os.symlink("/etc/passwd", os.path.join(etc, "link"))
        # No tmpfs on /dev: the image's own null device is a link to something that can be written.
        with open(os.path.join(bundle, "config.json"), encoding="utf-8") as file:
            written = json.load(file)
        written["mounts"] = [mount for mount in written["mounts"] if not mount["destination"].startswith("/dev")]
        self.write_config(bundle, written)
        os.symlink("/etc/passwd", os.path.join(bundle, "rootfs/dev/null"))
        done = self.oci("run", "--bundle", bundle, self.name)
        for word in ("hidden", "secret", "root:x"):
            self.assertNotIn(word, done.out)
        self.assertEqual(os.readlink(os.path.join(bundle, "rootfs/dev/null")), "/etc/passwd")

    def test_devices_of_the_image_are_not_trusted(self):
        """A file where a default device belongs is no reason to write to it."""
        script = "for d in null zero full random urandom tty; do stat -c '%n %t:%T %a' /dev/$d; done"
        out = self.output_of(script)
        self.assertEqual(out, "/dev/null 1:3 666\n/dev/zero 1:5 666\n/dev/full 1:7 666\n/dev/random 1:8 666\n"
                              "/dev/urandom 1:9 666\n/dev/tty 5:0 666\n")

    def test_the_root_file_system_of_the_host_is_out_of_reach(self):
        host = os.stat("/")
        script = "stat -c %d:%i / /.. /../.. /proc/1/root /proc/self/root /proc/self/cwd/.."
        for line in self.output_of(script).split():
            self.assertNotEqual(line, f"{host.st_dev}:{host.st_ino}")

    def test_no_host_mount_is_visible(self):
        out = self.output_of("cat /proc/self/mountinfo")
        self.assertNotIn(self.dir, out.replace(f"{self.dir}/bundle", ""))
        roots = [line.split()[4] for line in out.splitlines()]
        self.assertTrue(all(root == "/" or root.split("/")[1] in ("proc", "dev", "sys") for root in roots), out)

    def test_state_files_are_for_their_owner_only(self):
        self.assert_ok(self.create(self.bundle(*SLEEP)))
        names = os.listdir(self.state)
        self.assertGreaterEqual(len(names), 2)  # the journal, and the socket that `start` connects to
        for name in names:
            self.assertEqual(stat.S_IMODE(os.lstat(os.path.join(self.state, name)).st_mode) & 0o077, 0, name)
        self.delete()

    def test_an_id_cannot_leave_the_state_folder(self):
        bundle = self.bundle(*SLEEP)
        for name in ("..", ".", "../x", "a/../../x", "", "x\n", "~new"):
            done = self.create(bundle, name=name)
            # assertNotEqual alone would accept the default name of an empty one.
            self.assertNotEqual(self.kept_oci("create", "--bundle", bundle, name).status, 0, repr(name))
            for verb in ("state", "delete", "kill"):
                self.assertNotEqual(self.oci(verb, name).status, 0, repr(name))
            del done
            self.oci("delete", "--force", self.name)

    def test_rlimits_of_the_container_do_not_hinder_the_runtime(self):
        for kind, soft in (("RLIMIT_NOFILE", 4), ("RLIMIT_FSIZE", 1), ("RLIMIT_NPROC", 2)):
            with self.subTest(kind):
                limit = [{"type": kind, "soft": soft, "hard": soft}]
                done = self.oci("run", "--bundle", self.bundle("/bin/true", changes={"process": {"rlimits": limit}}),
                                self.name)
                self.assert_ok(done)


if __name__ == "__main__":
    harness.main()
