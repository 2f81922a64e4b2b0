"""The vulnerabilities that other runtimes had, each as the attack: first against a program as naive as
the runtime was then, which must fall for it, then against ours. docs/security.md has the table."""

# ctest: TIMEOUT 300

import contextlib
import ctypes
import hashlib
import os
import shutil
import stat
import struct

import harness
from attack_case import MS_BIND, AttackCase, in_child, mount, mount_points

SLEEP = ("/bin/sleep", "1000")
ROUNDS = 25
SETS = ("bounding", "effective", "permitted")


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


class Inside(AttackCase):
    """A process of the container against one that the runtime brings in."""

    def watch(self, script):
        """A container that looks for something, again and again, until SIGTERM; its init's pid."""
        looks = f"trap 'echo done; exit' TERM; echo ready; while :; do {script}; done 2>/dev/null"
        capabilities = ["CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_KILL", "CAP_SYS_PTRACE"]
        pid = self.start_new(self.writable("/bin/sh", "-c", looks, changes={
            "process": {"capabilities": {kind: capabilities for kind in SETS}}}))
        harness.wait_until(lambda: "ready" in self.kept_output(), "the watch begins")
        return pid

    def end_of_watch(self):
        self.assert_ok(self.oci("kill", self.name, "TERM"))
        harness.wait_until(lambda: "done" in self.kept_output(), "the watch ends")
        self.wait_stopped()
        return self.kept_output().splitlines()[1:-1]

    def test_cve_2016_9962_descriptors_of_an_exec(self):
        write(os.path.join(self.outside, "secret"), "secret\n")
        directory = os.open(self.outside, os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, directory)
        script = "cat /proc/[0-9]*/fd/[0-9]*/secret"

        pid = self.watch(script)
        inside = self.naive_exec(pid, shutil.which("busybox"), ["sleep", "987"], leaked=[directory])
        harness.wait_until(lambda: "secret" in self.kept_output(), "a leaked directory is found")
        self.end(inside)
        self.end_of_watch()
        self.delete()

        self.watch(script)
        os.set_inheritable(directory, True)
        for _ in range(ROUNDS):
            self.assert_ok(self.oci("exec", self.name, "true", pass_fds=[directory]))
        self.assertEqual(self.end_of_watch(), [])
        self.delete()

    def test_cve_2019_5736_our_program_is_overwritten(self):
        """A process that runs the host's program is held on to, and its program written."""
        # A shell's own redirections: they open while the process is there, and write when it is gone.
        # None but these is touched: the test's own interpreter is there for a moment as well.
        script = ("for p in /proc/[0-9]*; do case $(readlink $p/exe) in *naive-runtime|*caisson*) "
                  "{ echo found; while [ -e $p ]; do :; done; echo changed >/proc/self/fd/9; } 9<$p/exe;; esac; done")
        naive = os.path.join(self.dir, "naive-runtime")
        shutil.copy(shutil.which("busybox"), naive)
        pid = self.watch(script)
        inside = self.naive_exec(pid, naive, ["sleep", "987"])
        harness.wait_until(lambda: "found" in self.kept_output(), "the naive runtime is found")
        self.end(inside)
        harness.wait_until(lambda: read(naive) == "changed\n", "the naive runtime is overwritten")
        self.end_of_watch()
        self.delete()

        before = self.digest()
        self.addCleanup(lambda: self.assertEqual(self.digest(), before))
        self.watch(script)
        for _ in range(ROUNDS):
            self.assert_ok(self.oci("exec", self.name, "true"))
        self.end_of_watch()
        self.delete()
        self.assertEqual(self.digest(), before)

    def test_cve_2019_5736_our_program_as_the_entry_point(self):
        naive = os.path.join(self.dir, "naive-runtime")
        shutil.copy(shutil.which("busybox"), naive)
        for args in (["/proc/self/exe"], ["/script"]):
            bundle = self.writable(*args)
            rootfs = os.path.join(bundle, "rootfs")
            write(os.path.join(rootfs, "script"), "#!/proc/self/exe\n")
            os.chmod(os.path.join(rootfs, "script"), 0o755)
            # The program that ran says its name: it was the one outside.
            hidden = os.path.join(rootfs, "bin/busybox")
            os.rename(hidden, hidden + ".away")
            script = f"mount -t proc proc {rootfs}/proc; exec chroot {rootfs} {args[0]}"
            done = harness.run(["unshare", "--mount", naive, "sh", "-c", script.replace("exec chroot", f"exec {naive} chroot")])
            self.assertIn("applet not found", done.err, str(done))
            os.rename(hidden + ".away", hidden)

            done = self.oci("run", "--bundle", bundle, self.name)
            self.assertNotEqual(done.status, 0)
            self.assertNotIn("Usage:", done.out + done.err)
            self.assertNotIn("unknown command", done.err)

    def digest(self):
        with open(harness.CAISSON, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()

    def test_cve_2024_21626_a_leaked_directory_as_the_working_directory(self):
        directory = os.open(self.outside, os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, directory)
        os.set_inheritable(directory, True)
        write(os.path.join(self.outside, "secret"), "secret\n")
        bundle = self.writable("/bin/cat", "secret")
        rootfs = os.path.join(bundle, "rootfs")

        def naive():
            mount("proc", os.path.join(rootfs, "proc"), "proc")
            os.chroot(rootfs)
            os.chdir(f"/proc/self/fd/{directory}")
            return read("secret")
        self.assertEqual(in_child(naive), "secret\n")

        os.symlink(f"/proc/self/fd/{directory}", os.path.join(rootfs, "work"))
        self.write_config(bundle, harness.deep_update(harness.default_config(), {
            "root": {"readonly": False}, "process": {"args": ["/bin/cat", "secret"]}}))
        for where in (f"/proc/self/fd/{directory}", "/work"):
            changes = {"process": {"args": ["/bin/cat", "secret"], "cwd": where}, "root": {"readonly": False}}
            self.write_config(bundle, harness.deep_update(harness.default_config(), changes))
            done = self.oci("run", "--bundle", bundle, self.name, pass_fds=[directory])
            self.assertNotEqual(done.status, 0, str(done))
            self.assertNotIn("secret\n", done.out)
        self.start_new(self.bundle(*SLEEP))
        done = self.oci("exec", "--cwd", f"/proc/self/fd/{directory}", self.name, "cat", "secret", pass_fds=[directory])
        self.assertNotEqual(done.status, 0, str(done))
        self.assertEqual(done.out, "")
        self.delete("--force")

    def test_cve_2022_29162_inheritable_capabilities(self):
        """Also crun's of the same kind: a file's inheritable capabilities would be granted."""
        caller = ["setpriv", "--inh-caps=+chown,+setuid", "--"]
        naive = harness.run([*caller, "grep", "CapInh", "/proc/self/status"])
        self.assertNotEqual(int(naive.out.split()[1], 16) & 0x81, 0)

        looks = ["/bin/grep", "CapInh", "/proc/self/status"]
        program = os.path.join(os.path.dirname(harness.CAISSON), "caisson-oci")
        done = harness.run([*caller, program, "--root", self.state, "run", "--bundle", self.bundle(*looks), self.name])
        self.assertEqual(int(done.out.split()[1], 16), 0, str(done))
        self.start_new(self.bundle(*SLEEP))
        for more in ([], ["--cap", "CAP_CHOWN"]):
            done = harness.run([*caller, program, "--root", self.state, "exec", *more, self.name, *looks])
            self.assertEqual(int(done.out.split()[1], 16), 0, str(done))
        self.delete("--force")

    def test_cve_2026_30892_a_user_that_is_no_number(self):
        """Half a number, or one that does not fit, must not become another user: root least of all."""
        self.assertEqual(ctypes.c_uint32(int("4294967296")).value, 0)
        self.assertEqual(ctypes.CDLL(None).atoi(b"0x3e8"), 0)

        self.start_new(self.bundle(*SLEEP))
        # The last is (uid_t)-1, which setuid(2) takes for "as it is".
        for user in ("4294967296", "18446744073709551616", "-1", "+1", "0x3e8", "1e3", "1000abc", " 1000", "1000 ",
                     "1000:-1", "1000:4294967296", "1:2:3", "4294967295", "1000:4294967295"):
            done = self.oci("exec", "--user", user, self.name, "id")
            self.assertNotEqual(done.status, 0, f"{user}: {done}")
            self.assertNotIn("uid=", done.out)
        self.delete("--force")
        for field in ("uid", "gid"):
            for number in (4294967295, 4294967296, -1):
                done = self.run_in("id", {"process": {"user": {field: number}}})
                self.assertNotEqual(done.status, 0, f"{field} {number}: {done}")


class Targets(AttackCase):
    """Mounts and files whose place is exchanged for a link while they are made."""

    def test_cve_2021_30465_a_mount_target_that_is_exchanged(self):
        volume, target, link = self.volume_with_a_way_out()

        def naive():
            with contextlib.suppress(OSError):
                if os.path.realpath(target) == target:
                    mount("tmpfs", target, "tmpfs")
            return self.outside in mount_points()
        bundle = self.with_mounts("/bin/cat", "/proc/self/mountinfo", mounts=[
            {"destination": "/volume", "type": "bind", "source": volume, "options": ["bind"]},
            {"destination": "/volume/target", "type": "tmpfs", "source": "tmpfs"}])
        os.makedirs(os.path.join(bundle, "rootfs" + self.outside))  # where the link leads inside
        with self.exchanging(target, link):
            self.assert_escapes(lambda: in_child(lambda: any(naive() for _ in range(50))), "a mount outside")
            for _ in range(ROUNDS):
                done = self.oci("run", "--bundle", bundle, self.name)
                self.assert_ok(done)
                points = [line.split()[4] for line in done.out.splitlines()]
                inside = {"/volume/target", "/volume/link", self.outside}
                self.assertTrue(inside & set(points), f"the mount is nowhere inside: {done}")
        self.assertEqual(os.listdir(self.outside), [])

    def test_cve_2024_45310_directories_that_are_made(self):
        volume, target, link = self.volume_with_a_way_out()

        def naive():
            with contextlib.suppress(OSError):
                if os.path.realpath(target) == target:
                    os.makedirs(os.path.join(target, "deep/er"))
                    os.rmdir(os.path.join(target, "deep/er"))
            return "deep" in os.listdir(self.outside)
        source = os.path.join(self.dir, "source")
        write(source, "")
        bundle = self.with_mounts("/bin/true", mounts=[
            {"destination": "/volume", "type": "bind", "source": volume, "options": ["bind"]},
            {"destination": "/volume/target/a/b/file", "type": "bind", "source": source, "options": ["bind"]},
            {"destination": "/volume/target/a/c", "type": "tmpfs", "source": "tmpfs"}])
        with self.exchanging(target, link):
            self.assert_escapes(naive, "a directory outside")
            shutil.rmtree(os.path.join(self.outside, "deep"))
            for _ in range(ROUNDS):
                # A walk that meets the exchange between two of its steps may fail.
                self.oci("run", "--bundle", bundle, self.name)
                self.assertEqual(os.listdir(self.outside), [])
                for place in (target, link):
                    shutil.rmtree(os.path.join(place, "a"), ignore_errors=True)

    def test_cve_2019_16884_and_19921_links_to_proc(self):
        """A volume of the image whose place is a link into /proc covers what the runtime trusts."""
        fake = os.path.join(self.dir, "fake")
        write(fake, "fake\n")
        name = "attr/exec" if os.path.exists("/proc/self/attr/exec") else "status"
        bundle = self.with_mounts("/bin/cat", f"/proc/self/{name}", mounts=[
            {"destination": f"/way/{name}", "type": "bind", "source": fake, "options": ["bind"]}])
        rootfs = os.path.join(bundle, "rootfs")
        os.symlink("proc/self", os.path.join(rootfs, "way"))

        def naive():
            mount("proc", os.path.join(rootfs, "proc"), "proc")
            mount(fake, os.path.join(rootfs, "way", name), None, MS_BIND)
            return read(os.path.join(rootfs, "proc/self", name))
        self.assertEqual(in_child(naive), "fake\n")

        done = self.oci("run", "--bundle", bundle, self.name)
        self.assertNotEqual(done.status, 0)
        self.assertNotIn("fake", done.out)
        self.assertIn("without links", done.err)

    def test_cve_2023_27561_and_28642_proc_and_sys_as_links(self):
        for name in ("proc", "sys"):
            bundle = self.writable("/bin/true")
            rootfs = os.path.join(bundle, "rootfs")
            os.rmdir(os.path.join(rootfs, name))
            os.symlink("tmp", os.path.join(rootfs, name))

            def naive():
                mount("tmpfs", os.path.join(rootfs, name), "tmpfs")
                return os.path.join(rootfs, "tmp") in mount_points()
            self.assertTrue(in_child(naive))

            done = self.oci("run", "--bundle", bundle, self.name)
            self.assertNotEqual(done.status, 0)
            self.assertIn(f"/{name}", done.err)

    def test_cve_2025_31133_the_null_device_is_exchanged_while_paths_are_masked(self):
        devices = os.path.join(self.dir, "devices")
        os.mkdir(devices)
        null, link = os.path.join(devices, "null"), os.path.join(devices, "link")
        os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        os.symlink("/etc/motd", link)
        bundle = self.with_mounts("/bin/sh", "-c", "stat -c %t:%T /masked; cat /masked", without=["/dev"], mounts=[
            {"destination": "/dev", "type": "bind", "source": devices, "options": ["bind"]}],
            changes={"linux": {"maskedPaths": ["/masked"]}})
        rootfs = os.path.join(bundle, "rootfs")
        write(os.path.join(rootfs, "masked"), "hidden\n")
        write(os.path.join(rootfs, "etc/motd"), "chosen\n")

        def naive():
            mount(devices, os.path.join(rootfs, "dev"), None, MS_BIND)
            os.chroot(rootfs)
            for _ in range(200):
                if stat.S_ISCHR(os.lstat("/dev/null").st_mode):
                    mount("/dev/null", "/masked", None, MS_BIND)
                    if stat.S_ISREG(os.stat("/masked").st_mode):
                        return read("/masked")
            return ""
        with self.exchanging(null, link):
            self.assert_escapes(lambda: in_child(naive) == "chosen\n", "a mask of the image's choice")
            for _ in range(ROUNDS):
                done = self.oci("run", "--bundle", bundle, self.name)
                self.assertEqual(done.out, "1:3\n", str(done))

    def test_cve_2025_52565_the_console_is_exchanged(self):
        """The place of /dev/console becomes a link: the terminal would cover what it names."""
        devices = os.path.join(self.dir, "devices")
        os.mkdir(devices)
        console, link = os.path.join(devices, "console"), os.path.join(devices, "link")
        write(console, "")
        os.symlink("/proc/version", link)
        bundle = self.with_mounts("/bin/cat", "/proc/self/mountinfo", without=["/dev"], mounts=[
            {"destination": "/dev", "type": "bind", "source": devices, "options": ["bind"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]}],
            changes={"process": {"terminal": True}})
        rootfs = os.path.join(bundle, "rootfs")
        os.mkdir(os.path.join(devices, "pts"))

        def naive():
            mount("proc", os.path.join(rootfs, "proc"), "proc")
            mount(devices, os.path.join(rootfs, "dev"), None, MS_BIND)
            os.chroot(rootfs)
            for _ in range(200):
                if not os.path.islink("/dev/console"):
                    mount("/etc/passwd", "/dev/console", None, MS_BIND)
            return "/proc/version" in mount_points()
        with self.exchanging(console, link), self.console_socket() as (path, receive):
            self.assert_escapes(lambda: in_child(naive), "a file of /proc is covered")
            for _ in range(ROUNDS):
                done = self.create(bundle, "--console-socket", path)
                if done.status != 0:
                    continue
                receive()
                points = [line.split()[4] for line in read(f"/proc/{self.state_of()['pid']}/mountinfo").splitlines()]
                self.assertNotIn("/proc/version", points)
                self.delete("--force")

    def test_cve_2025_52881_sysctls_are_redirected(self):
        """The place of /proc is exchanged with a directory of the image's: what is written there is lost."""
        sysctl = "kernel/domainname"
        bundle = self.writable("/bin/cat", f"/proc/sys/{sysctl}", changes={
            "linux": {"sysctl": {"kernel.domainname": "set.example"}, "maskedPaths": [], "readonlyPaths": []}})
        rootfs = os.path.join(bundle, "rootfs")
        proc, fake = os.path.join(rootfs, "proc"), os.path.join(rootfs, "fake")
        decoy = os.path.join(fake, "sys", sysctl)
        os.makedirs(os.path.dirname(decoy))
        write(decoy, "decoy")

        # By its descriptor: its path is another from one moment to the next.
        image = os.open(decoy, os.O_RDWR)
        self.addCleanup(os.close, image)

        def value():
            return os.pread(image, 100, 0).decode()

        def naive():
            for _ in range(50):
                try:
                    with open(os.path.join(proc, "sys", sysctl), "w", encoding="utf-8") as file:
                        file.write("lost")
                except OSError:
                    pass
            return value() == "lost"
        with self.exchanging(proc, fake):
            self.assert_escapes(naive, "a value is written into the image's file")
        os.ftruncate(image, 0)
        os.pwrite(image, b"decoy", 0)
        with self.exchanging(proc, fake):
            for _ in range(ROUNDS):
                done = self.oci("run", "--bundle", bundle, self.name)
                if done.status == 0:
                    self.assertIn(done.out, ("set.example\n", "decoy"), str(done))
        self.assertEqual(value(), "decoy")

    def test_cve_2026_41579_and_47766_dev_that_is_a_link(self):
        """Nodes would be made where the link leads: in a volume, which others look at."""
        device = {"path": "/dev/made", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}
        bundle = self.with_mounts("/bin/true", without=["/dev"], changes={"linux": {"devices": [device]}}, mounts=[
            {"destination": "/volume", "type": "bind", "source": self.outside, "options": ["bind"]}])
        rootfs = os.path.join(bundle, "rootfs")
        os.rmdir(os.path.join(rootfs, "dev"))
        os.symlink("volume", os.path.join(rootfs, "dev"))
        os.mkdir(os.path.join(rootfs, "volume"))

        def naive():
            mount(self.outside, os.path.join(rootfs, "volume"), None, MS_BIND)
            os.mknod(os.path.join(rootfs, "dev/naive"), 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            return os.listdir(self.outside)
        self.assertEqual(in_child(naive), ["naive"])

        os.unlink(os.path.join(self.outside, "naive"))
        done = self.oci("run", "--bundle", bundle, self.name)
        self.assertNotEqual(done.status, 0)
        self.assertIn("/dev", done.err)
        self.assertEqual(os.listdir(self.outside), [])

    def test_cve_2025_24965_files_that_the_runtime_makes(self):
        """A link of the image's where the runtime makes a file: it must not be written through."""
        victim = os.path.join(self.outside, "victim")
        source = os.path.join(self.dir, "source")
        write(source, "source\n")
        bundle = self.with_mounts("/bin/true", mounts=[
            {"destination": "/etc/hosts", "type": "bind", "source": source, "options": ["bind"]}],
            changes={"annotations": {"run.oci.handler": "krun"}})
        rootfs = os.path.join(bundle, "rootfs")
        for name in ("etc/hosts", ".krun_vm.json", ".krun_config.json"):
            os.symlink(victim, os.path.join(rootfs, name))
        write(os.path.join(rootfs, "etc/hosts"), "")  # what a naive runtime does
        self.assertTrue(os.path.exists(victim))
        os.unlink(victim)

        self.oci("run", "--bundle", bundle, self.name)
        self.assertEqual(os.listdir(self.outside), [])


class Numbers(AttackCase):
    def test_cve_2021_43784_lengths_beyond_16_bits(self):
        """An attribute of netlink has 16 bits of length: the rest of a longer one is the next attribute."""
        hidden = struct.pack("=HH", 8, 27281) + b"\0\0\0\0"
        payload = b"x" * 65528 + hidden
        length = struct.unpack_from("=H", struct.pack("=H", (len(payload) + 4) & 0xffff))[0]
        self.assertLess(length, len(payload))

        value = "x" * 70000
        mapping = [{"containerID": i, "hostID": 100000 + i, "size": 1} for i in range(250)]
        changes = {"process": {"env": ["PATH=/bin", f"LONG={value}"], "args": ["/bin/sh", "-c", (
            "echo ${#LONG}; wc -l </proc/self/uid_map; readlink /proc/self/ns/user; readlink /proc/self/ns/net; id -u")]},
            "linux": {"uidMappings": mapping, "gidMappings": mapping,
                      "namespaces": [{"type": kind} for kind in ("user", "pid", "network", "ipc", "uts", "mount", "cgroup")]}}
        bundle = self.bundle(changes=changes)
        os.chmod(os.path.join(bundle, "rootfs"), 0o755)
        done = self.oci("run", "--bundle", bundle, self.name)
        self.assert_ok(done)
        lines = done.out.split()
        self.assertEqual([lines[0], lines[1], lines[4]], ["70000", "250", "0"])
        for kind, inside in zip(("user", "net"), lines[2:4]):
            self.assertNotEqual(inside, os.readlink(f"/proc/self/ns/{kind}"))
        far = {"linux": {"namespaces": [{"type": "network", "path": "/proc/" + "./" * 40000 + "self/ns/net"}]}}
        self.assertNotEqual(self.run_in("true", far).status, 0)

    def test_a_cgroup_path_stays_below_its_hierarchy(self):
        for path in ("/../../" + self.name, f"/x/../../../{self.name}", f"../{self.name}"):
            done = self.run_in("cat /proc/self/cgroup", {"linux": {"cgroupsPath": path}})
            for folder in ("/", "/sys", "/sys/fs"):
                self.assertNotIn(self.name, os.listdir(folder), str(done))


if __name__ == "__main__":
    harness.main()
