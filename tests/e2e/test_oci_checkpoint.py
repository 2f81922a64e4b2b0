"""caisson-oci checkpoint and restore: containers saved by CRIU and made again."""
# ctest: TIMEOUT 300
# ctest: RELEASE_ONLY

import json
import os
import shutil
import subprocess

import harness
from criu_case import CriuCase, criu_program, has_feature
from oci_case import KILLED, OciCase, hook, oci_program


class Checkpoint(CriuCase):
    def test_a_container_goes_on_where_it_was_saved(self):
        bundle = self.run_counter()
        self.assert_ok(self.checkpoint())
        self.assertIn("does not exist", self.oci("state", self.name).err)
        saved = self.count(bundle)
        pid_file = os.path.join(self.dir, "pid")
        self.assert_ok(self.restore(bundle, "--pid-file", pid_file))
        state = self.state_of()
        self.assertEqual(state["status"], "running")
        with open(pid_file, encoding="ascii") as file:
            self.assertEqual(int(file.read()), state["pid"])
        self.assert_goes_on(bundle, saved)
        self.assertEqual(self.oci("exec", self.name, "echo", "hi").out, "hi\n")
        self.assertIn(state["pid"], json.loads(self.oci("ps", "--format", "json", self.name).out))
        self.assert_ok(self.oci("events", "--stats", self.name))
        self.assert_ok(self.oci("pause", self.name))
        self.assert_ok(self.oci("resume", self.name))
        self.assert_ok(self.oci("kill", self.name, "KILL"))
        self.wait_stopped()
        self.delete()

    def test_it_can_be_saved_again_and_again(self):
        bundle = self.run_counter()
        for _ in range(2):
            self.assert_ok(self.checkpoint())
            saved = self.count(bundle)
            self.assert_ok(self.restore(bundle))
            self.assert_goes_on(bundle, saved)

    def test_with_leave_running_it_goes_on_beside_its_images(self):
        bundle = self.run_counter()
        pid = self.state_of()["pid"]
        self.assert_ok(self.checkpoint("--leave-running"))
        self.assertEqual(self.state_of()["pid"], pid)
        self.assert_goes_on(bundle, self.count(bundle))
        self.delete("--force")
        self.assert_ok(self.restore(bundle))

    def test_another_id_and_another_bundle(self):
        bundle = self.run_counter()
        self.assert_ok(self.checkpoint())
        saved = self.count(bundle)
        moved = os.path.join(self.dir, "moved")
        shutil.move(bundle, moved)
        name = f"{self.name}-b"
        limits = {"linux": {"resources": {"pids": {"limit": 50}}, "cgroupsPath": f"/{name}-place"}}
        with open(os.path.join(moved, "config.json"), encoding="utf-8") as file:
            self.write_config(moved, harness.deep_update(json.load(file), limits))
        self.assert_ok(self.restore(moved, name=name))
        self.assert_goes_on(moved, saved)
        pid = self.state_of(name)["pid"]
        with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
            groups = [line.strip().split(":", 2) for line in file]
        self.assertIn(f"/{name}-place", {path for _, _, path in groups}, groups)
        if not harness.cgroup_v2_only():
            with open(f"/sys/fs/cgroup/pids/{name}-place/pids.max", encoding="ascii") as file:
                self.assertEqual(file.read(), "50\n")

    def test_a_paused_container_can_be_saved_and_runs_when_restored(self):
        bundle = self.run_counter()
        self.assert_ok(self.oci("pause", self.name))
        self.assert_ok(self.checkpoint())
        saved = self.count(bundle)
        self.assert_ok(self.restore(bundle))
        self.assertEqual(self.state_of()["status"], "running")
        self.assert_goes_on(bundle, saved)

    def test_in_the_foreground_with_the_streams_and_the_status_of_the_program(self):
        script = "read a; echo first $a; until [ -e /tmp/go ]; do sleep 0.1; done; read b; echo $b; exit 7"
        bundle = self.bundle("/bin/sh", "-c", script)
        first = subprocess.Popen([oci_program(), "--root", self.state, "run", "--bundle", bundle, self.name], text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._background.add(first.pid)
        first.stdin.write("one\n")
        first.stdin.flush()
        self.assertEqual(first.stdout.readline(), "first one\n")
        self.assert_ok(self.checkpoint())
        self.assertEqual(first.wait(harness.TIMEOUT), KILLED)
        first.communicate()
        with open(os.path.join(bundle, "rootfs/tmp/go"), "w", encoding="ascii"):
            pass
        done = self.restore(bundle, detach=False, run=lambda *words: self.oci(*words, input="two\n"))
        self.assert_status(done, 7)
        self.assertEqual(done.out, "two\n")
        self.assertIn("does not exist", self.oci("state", self.name).err)

    def test_a_terminal_gets_a_new_master(self):
        script = "stty -echo; while read line; do echo got $line; done"
        bundle = self.bundle("/bin/sh", "-c", script, changes={"process": {"terminal": True}})
        with self.console_socket() as (path, receive):
            self.start_new(bundle, "--console-socket", path)
            name, [master] = receive()
            self.assertIn("ptmx", name)
            os.write(master, b"one\n")
            self._read_until(master, b"got one")
            self.assert_ok(self.checkpoint())
            self.assert_ok(self.restore(bundle, "--console-socket", path))
            _, [master] = receive()
            os.write(master, b"two\n")
            self._read_until(master, b"got two")
        done = self.restore(bundle, name=f"{self.name}-b")
        self.assertIn("cannot allocate tty if runc will detach without setting console socket", done.err)

    def _read_until(self, fd, text):
        seen = bytearray()

        def arrived():
            seen.extend(os.read(fd, 4096))
            return text in seen
        harness.wait_until(arrived, f"{text} on the terminal")


class Mounts(CriuCase):
    def test_binds_masks_and_file_systems_are_there_again(self):
        data, file = os.path.join(self.dir, "data"), os.path.join(self.dir, "file")
        os.mkdir(data)
        for path in (file, os.path.join(data, "here")):
            with open(path, "w", encoding="ascii") as opened:
                opened.write("text")
        mounts = [*harness.default_config()["mounts"],
                  {"destination": "/mnt/data", "type": "bind", "source": data, "options": ["rbind", "rw"]},
                  {"destination": "/mnt/ro", "type": "bind", "source": data, "options": ["bind", "ro"]},
                  {"destination": "/link/below", "type": "bind", "source": data, "options": ["bind"]},
                  {"destination": "/etc/file", "type": "bind", "source": file, "options": ["bind", "ro"]},
                  {"destination": "/mnt/data/tmp", "type": "tmpfs", "source": "tmpfs"}]
        changes = {"mounts": mounts, "linux": {"maskedPaths": ["/proc/kcore", "/proc/timer_list", "/proc/scsi"],
                                               "readonlyPaths": ["/proc/sys"]}}
        bundle = self.bundle("/bin/sh", "-c", "echo kept > /mnt/data/tmp/file; exec sleep 1000", changes=changes)
        os.makedirs(os.path.join(bundle, "rootfs/real"))
        os.symlink("real", os.path.join(bundle, "rootfs/link"))
        self.start_new(bundle)
        before = self._look()
        self.assertIn("kept", before)
        self.assert_ok(self.checkpoint())
        shutil.rmtree(os.path.join(bundle, "rootfs/mnt"))  # on another machine they would be missing, too
        self.assert_ok(self.restore(bundle))
        self.assertEqual(self._look(), before)

    def _look(self):
        script = ("cat /mnt/data/tmp/file /mnt/data/here /etc/file /link/below/here; "
                  "touch /mnt/ro/x; touch /etc/file; touch /proc/sys/x; wc -c < /proc/timer_list; "
                  "awk '{print $5, $6}' /proc/self/mountinfo | sort")
        done = self.oci("exec", self.name, "sh", "-c", script)
        self.assert_ok(done)
        return done.out + done.err

    def test_what_came_along_with_a_recursive_bind(self):
        data = os.path.join(self.dir, "data")
        os.makedirs(os.path.join(data, "sub"))
        self.assert_ok(harness.run(["mount", "-t", "tmpfs", f"{self.name}-sub", f"{data}/sub"]))
        self.addCleanup(harness.run, ["umount", f"{data}/sub"])
        with open(os.path.join(data, "sub/file"), "w", encoding="ascii") as file:
            file.write("below")
        mounts = [*harness.default_config()["mounts"],
                  {"destination": "/data", "type": "bind", "source": data, "options": ["rbind"]}]
        bundle = self.bundle("/bin/sleep", "1000", changes={"mounts": mounts})
        self.start_new(bundle)
        self.assert_ok(self.checkpoint())
        self.assert_ok(self.restore(bundle))
        self.assertEqual(self.oci("exec", self.name, "cat", "/data/sub/file").out, "below")
        with open(os.path.join(data, "sub/file"), "w", encoding="ascii") as file:
            file.write("same file")
        self.assertEqual(self.oci("exec", self.name, "cat", "/data/sub/file").out, "same file")
        self.delete("--force")

    def test_cgroups_with_and_without_a_namespace_of_their_own(self):
        mount = {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                 "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}
        config = harness.default_config()
        mounts = [m for m in config["mounts"] if m["type"] != "cgroup"] + [mount]
        others = [n for n in config["linux"]["namespaces"] if n["type"] != "cgroup"]
        for namespaces in (others, others + [{"type": "cgroup"}]):
            with self.subTest(namespaces=len(namespaces)):
                bundle = self.bundle("/bin/sleep", "1000", changes={
                    "mounts": mounts, "linux": {"namespaces": namespaces}})
                self.start_new(bundle)
                look = ("sh", "-c", "cat /proc/1/cgroup; ls /sys/fs/cgroup")
                before = self.oci("exec", self.name, *look).out
                self.assert_ok(self.checkpoint())
                self.assert_ok(self.restore(bundle))
                self.assertEqual(self.oci("exec", self.name, *look).out, before)
                self.delete("--force")
                shutil.rmtree(self.images)


class Surroundings(CriuCase):
    def test_a_network_namespace_that_was_given_stays(self):
        keeper = subprocess.Popen(["unshare", "--net", "sleep", "1000"])
        self.addCleanup(keeper.wait)
        self.addCleanup(keeper.kill)
        self._background.add(keeper.pid)
        own, path = os.readlink("/proc/self/ns/net"), f"/proc/{keeper.pid}/ns/net"
        harness.wait_until(lambda: os.readlink(path) != own, "unshare")
        namespaces = [n for n in harness.default_config()["linux"]["namespaces"] if n["type"] != "network"]
        bundle = self.run_counter({"linux": {"namespaces": [*namespaces, {"type": "network", "path": path}]}})
        self.assert_ok(self.checkpoint())
        saved = self.count(bundle)
        self.assert_ok(self.restore(bundle))
        self.assertEqual(os.readlink(f"/proc/{self.state_of()['pid']}/ns/net"), os.readlink(path))
        self.assert_goes_on(bundle, saved)
        self.delete("--force")

    def test_a_network_of_its_own_has_its_loopback_device_and_sysctls(self):
        bundle = self.bundle("/bin/sleep", "1000", changes={"linux": {"sysctl": {"net.ipv4.ip_forward": "1"}}})
        self.start_new(bundle)
        self.assert_ok(self.checkpoint())
        self.assert_ok(self.restore(bundle))
        look = "ip -o link show lo | grep -q ,UP && cat /proc/sys/net/ipv4/ip_forward"
        self.assertEqual(self.oci("exec", self.name, "sh", "-c", look).out, "1\n")

    def test_open_connections(self):
        script = ("mkfifo /tmp/f; (nc -l -p 5000 < /tmp/f | while read x; do echo $x > /tmp/heard; done) & "
                  "exec 3> /tmp/f; until nc -z 127.0.0.1 1 || sleep 0.3; do :; done; "
                  "i=0; (while sleep 0.1; do i=$((i+1)); echo $i; done) | nc 127.0.0.1 5000; exec sleep 1000")
        bundle = self.bundle("/bin/sh", "-c", script)
        self.start_new(bundle)
        heard = os.path.join(bundle, "rootfs/tmp/heard")

        def number():
            try:
                with open(heard, encoding="ascii") as file:
                    return int(file.read() or 0)
            except FileNotFoundError:
                return 0
        harness.wait_until(lambda: number() > 2, "the connection")
        done = self.checkpoint()
        self.assertIn("--tcp-established", done.err)
        now = number()
        harness.wait_until(lambda: number() > now, "it goes on after a failure")
        self.assert_ok(self.checkpoint("--tcp-established", "--network-lock", "skip"))
        now = number()
        self.assert_ok(self.restore(bundle, "--tcp-established", "--network-lock", "skip"))
        harness.wait_until(lambda: number() > now + 2, "the connection goes on")

    def test_hooks_meet_the_new_namespaces(self):
        log = os.path.join(self.dir, "hooks")
        say = ('read -r state; pid=$(echo "$state" | tr , "\\n" | sed -n "s/.*\\"pid\\": *//p"); '
               f'echo {{}} $(readlink /proc/$pid/ns/net) >> {log}')
        hooks = {kind: [hook(say.format(kind))] for kind in
                 ("prestart", "createRuntime", "createContainer", "poststart", "poststop")}
        bundle = self.run_counter({"hooks": hooks})
        self.assert_ok(self.checkpoint())
        with open(log, encoding="ascii") as file:
            self.assertEqual([line.split()[0] for line in file],
                             ["prestart", "createRuntime", "createContainer", "poststart", "poststop"])
        os.remove(log)
        self.assert_ok(self.restore(bundle))
        network = os.readlink(f"/proc/{self.state_of()['pid']}/ns/net")
        self.delete("--force")
        with open(log, encoding="ascii") as file:
            lines = [line.split() for line in file]
        self.assertEqual(lines[:2], [["prestart", network], ["createRuntime", network]])
        self.assertEqual([line[0] for line in lines[2:]], ["poststop"])


class People(CriuCase):
    """caisson checkpoint and restore."""

    def test_a_container_in_the_background_keeps_its_logs_going(self):
        rootfs = self.busybox_rootfs()
        script = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.1; done"
        self.assert_ok(self.caisson("run", "-d", "--name", self.name, "--rootfs", rootfs, "--", "sh", "-c", script))
        self._wait_for_line(3)
        criu = ("--criu", criu_program(), "--image-path", self.images)
        self.assert_ok(self.caisson("checkpoint", *criu, self.name))
        self.assertEqual(json.loads(self.caisson("ps", "--all", "--json").out), [])
        name = f"{self.name}-b"
        self.assert_ok(self.caisson("restore", "-d", *criu, name))
        lines = self._wait_for_line(6, name)
        self.assertNotIn("line 1", lines)
        self.assert_ok(self.caisson("rm", "-f", name))

    def _wait_for_line(self, number, name=None):
        def lines():
            return self.caisson("logs", name or self.name).out.splitlines()
        harness.wait_until(lambda: f"line {number}" in lines() or len(lines()) > number, f"line {number}")
        return lines()

    def test_a_view_of_the_machine_is_refused(self):
        self.assert_ok(self.caisson("run", "-d", "--name", self.name, "--", "sleep", "1000"))
        done = self.caisson("checkpoint", "--criu", criu_program(), "--image-path", self.images, self.name)
        self.assert_status(done, 1)
        self.assertIn("view of this machine", done.err)
        self.assertFalse(os.path.exists(self.images))
        self.assert_ok(self.caisson("rm", "-f", self.name))

    def test_a_folder_without_images(self):
        done = self.caisson("restore", "--criu", criu_program(), "--image-path", self.dir, self.name)
        self.assert_status(done, 1)
        self.assertIn("no saved container is there", done.err)


class Failures(CriuCase):
    def assert_gone(self, name=None):
        self.assertIn("does not exist", self.oci("state", name or self.name).err)
        self.assert_no_leaks()

    def test_a_restore_that_fails_leaves_nothing_behind(self):
        bundle = self.run_counter()
        self.assert_ok(self.checkpoint())
        os.truncate(os.path.join(self.images, "core-1.img"), 0)
        done = self.restore(bundle)
        self.assert_status(done, 1)
        self.assertIn("criu failed", done.err)
        self.assertIn("restore.log", done.err)
        self.assert_gone()

    def test_a_hook_that_fails_ends_the_restore(self):
        bundle = self.run_counter()
        self.assert_ok(self.checkpoint())
        with open(os.path.join(bundle, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        config["hooks"] = {"createRuntime": [hook("echo no way >&2; exit 3")]}
        self.write_config(bundle, config)
        done = self.restore(bundle)
        self.assert_status(done, 1)
        self.assertIn("no way", done.err)
        self.assert_gone()

    def test_a_restore_that_is_killed_leaves_nothing_behind(self):
        bundle = self.run_counter()
        self.assert_ok(self.checkpoint())
        for step in ("claim", "execute", "process", "save", "pid-file"):
            with self.subTest(step=step):
                words = self.with_criu("restore", "--bundle", bundle, "--detach", self.name)
                done = self.kept_oci(*words, env={"CAISSON_FAULT": f"create:{step}"})
                self.assert_status(done, KILLED)
                self.oci("delete", "--force", self.name)
                self.assert_gone()

    def test_a_failed_checkpoint_leaves_the_container_running(self):
        bundle = self.run_counter({"process": {"terminal": False}})
        done = self.kept_oci(*self.with_criu("checkpoint", "--lsm", self.name))
        self.assert_status(done, 1)
        work = os.path.join(self.dir, "file")
        with open(work, "w", encoding="ascii"):
            pass
        done = self.checkpoint("--work-path", work)
        self.assert_status(done, 1)
        self.assert_goes_on(bundle, self.count(bundle))

    def test_a_name_that_is_taken(self):
        bundle = self.run_counter()
        self.assert_ok(self.checkpoint("--leave-running"))
        done = self.restore(bundle)
        self.assertIn("container with given ID already exists", done.err)
        self.assert_goes_on(bundle, self.count(bundle))

    def test_memory_tracking_is_asked_for_before_anything_is_done(self):
        bundle = self.run_counter()
        first = os.path.join(self.dir, "first")
        done = self.checkpoint("--pre-dump", images=first)
        if not has_feature("mem_dirty_track"):
            self.assert_status(done, 1)
            self.assertIn("does not track changes of memory", done.err)
            self.assert_goes_on(bundle, self.count(bundle))
            return
        self.assert_ok(done)
        self.assert_goes_on(bundle, self.count(bundle))
        self.assertIn("a pre-dump is none", self.restore(bundle, images=first, name=f"{self.name}-b").err)
        self.assert_ok(self.checkpoint("--parent-path", "../first"))
        saved = self.count(bundle)
        self.assert_ok(self.restore(bundle))
        self.assert_goes_on(bundle, saved)


class Refusals(OciCase):
    """Nothing of CRIU is needed for these."""

    def assert_refused(self, *words, says):
        done = self.oci(*words)
        self.assert_status(done, 1)
        for text in says:
            self.assertIn(text, done.err)

    def test_without_criu(self):
        bundle = self.bundle("/bin/sleep", "1000")
        pid = self.start_new(bundle)
        self.assert_refused("--criu", "/nonexistent/criu", "checkpoint", "--image-path",
                            os.path.join(self.dir, "i"), self.name,
                            says=["it is not installed", "package criu"])
        self.assertEqual(self.state_of()["pid"], pid)
        self.assertFalse(os.path.exists(os.path.join(self.dir, "i")))
        self.assert_refused("--criu", "/nonexistent/criu", "restore", "--bundle", bundle, f"{self.name}-b",
                            says=["it is not installed"])
        self.assert_refused("state", f"{self.name}-b", says=["does not exist"])

    def test_by_the_state_of_the_container(self):
        self.assert_refused("checkpoint", self.name, says=["container does not exist"])
        self.assert_ok(self.create(self.bundle("/bin/sleep", "1000")))
        self.assert_refused("checkpoint", self.name, says=["cannot be checkpointed in created state"])
        self.assert_ok(self.oci("start", self.name))
        self.assert_ok(self.oci("kill", self.name, "KILL"))
        self.wait_stopped()
        self.assert_refused("checkpoint", self.name, says=["cannot be checkpointed in stopped state"])

    def test_options_that_make_no_sense(self):
        for words, text in (
                (["--manage-cgroups-mode", "hard"], "invalid manage-cgroups-mode value"),
                (["--parent-path", "/abs"], "--parent-path must be relative"),
                (["--page-server", "nowhere"], "Use --page-server ADDRESS:PORT to specify page server"),
                (["--empty-ns", "pid"], 'namespace "pid" is not supported'),
                (["--status-fd", "77"], "not a descriptor that is open for writing"),
                (["--network-lock", "x"], "invalid network-lock value")):
            self.assert_refused("checkpoint", *words, self.name, says=[text])

    def test_an_id_map_of_a_mount_is_more_than_criu_restores(self):
        source = os.path.join(self.dir, "data")
        os.mkdir(source)
        maps = [{"containerID": 0, "hostID": 1000, "size": 1}]
        mount = {"destination": "/data", "type": "bind", "source": source, "options": ["bind"],
                 "uidMappings": maps, "gidMappings": maps}
        bundle = self.bundle("/bin/sleep", "1000",
                             changes={"mounts": [*harness.default_config()["mounts"], mount]})
        done = self.create(bundle)
        if done.status != 0:
            self.skipTest(f"no idmapped mounts here: {done.err}")
        self.assert_ok(self.oci("start", self.name))
        self.assert_refused("checkpoint", self.name, says=["id map of a mount", "mounts["])

    def test_a_user_namespace_is_more_than_criu_restores(self):
        if os.getuid() != 0:
            self.skipTest("ids are mapped by root")
        maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        namespaces = [*harness.default_config()["linux"]["namespaces"], {"type": "user"}]
        bundle = self.bundle("/bin/sleep", "1000", changes={
            "linux": {"namespaces": namespaces, "uidMappings": maps, "gidMappings": maps}})
        os.chmod(self.dir, 0o755)
        self.start_new(bundle)
        self.assert_refused("checkpoint", self.name, says=["user namespace"])
        self.assertEqual(self.state_of()["status"], "running")


if __name__ == "__main__":
    harness.main()
