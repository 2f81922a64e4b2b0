"""Single fields, annotations and protocols of the OCI runtime, seen from inside."""

import array
import json
import os
import re
import socket
import threading

import harness
from oci_case import OciCase, hook, oci_program


class Mounts(OciCase):
    def mount(self, *options, kind="bind", source=None, destination="/mnt", **more):
        return {"mounts": [*harness.default_config()["mounts"],
                           {"destination": destination, "type": kind, "source": source or self.source(),
                            "options": list(options), **more}]}

    def source(self):
        path = os.path.join(self.dir, "source")
        if not os.path.isdir(path):
            os.mkdir(path)
            with open(os.path.join(path, "file"), "w", encoding="utf-8") as file:
                file.write("content\n")
            os.chown(os.path.join(path, "file"), 1000, 1001)
            os.symlink("file", os.path.join(path, "link"))
        return path

    def test_an_id_map_written_as_an_option(self):
        owner = "stat -c %u:%g /mnt/file"
        self.assertEqual(self.output_of(owner, self.mount(
            "bind", "idmap=uids=1000-5000-1#0-0-1;gids=1001-6000-1")), "5000:6000\n")
        maps = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        namespaces = [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "user")]
        in_namespace = {"linux": {"namespaces": namespaces, "uidMappings": maps, "gidMappings": maps}}
        self.assertEqual(self.output_of(owner, harness.deep_update(self.mount(
            "bind", "idmap=uids=@1000-7-1;gids=@1001-8-1"), in_namespace),
            prepare=lambda root: os.mkdir(os.path.join(root, "mnt"))), "7:8\n")
        for bad in ("uids=1-2;gids=1-2-3", "uids=0-0-1", "users=0-0-1", "uids=0-0-0;gids=0-0-1"):
            done = self.run_in("true", self.mount("bind", "idmap=" + bad))
            self.assert_status(done, 1)
            self.assertIn("is no id map", done.err)

    def test_links_at_either_end(self):
        link = os.path.join(self.source(), "link")
        self.assertEqual(self.output_of("readlink /mnt", self.mount(
            "bind", "copy-symlink", source=link)), "file\n")
        self.assertEqual(self.output_of("cat /mnt/file", self.mount("bind", "copy-symlink")), "content\n")
        self.assertEqual(self.output_of("readlink /place", self.mount(
            "bind", "src-nofollow", source=link, destination="/place")), "file\n")

        def existing(root):
            os.symlink("elsewhere", os.path.join(root, "place"))
        done = self.run_in("true", self.mount("bind", "copy-symlink", source=link, destination="/place"),
                           prepare=existing)
        self.assert_status(done, 1)
        self.assertIn("file exists", done.err.lower())
        self.assertEqual(self.output_of("readlink /place; ls /elsewhere 2>/dev/null; true", self.mount(
            "bind", "src-nofollow", "dest-nofollow", source=link, destination="/place"),
            prepare=existing), "file\n")

    def test_copied_up_content_gets_its_propagation_and_id_map(self):
        def prepare(root):
            os.mkdir(os.path.join(root, "mnt"))
            os.mkdir(os.path.join(root, "mnt", "sub"), 0o750)
            os.chown(os.path.join(root, "mnt", "sub"), 3, 4)
        out = self.output_of("stat -c '%a %u:%g' /mnt/sub; grep ' /mnt ' /proc/self/mountinfo",
                             self.mount("tmpcopyup", "rshared", kind="tmpfs", source="tmpfs"),
                             prepare=prepare)
        self.assertRegex(out, r"(?s)^750 3:4\n.* /mnt .*shared:")
        maps = [{"containerID": 0, "hostID": 50, "size": 10}]
        self.assertEqual(self.output_of("stat -c '%a %u:%g' /mnt/sub", self.mount(
            "tmpcopyup", kind="tmpfs", source="tmpfs", uidMappings=maps, gidMappings=maps),
            prepare=prepare), "750 53:54\n")

    def test_many_masks_and_binds(self):
        def prepare(root):
            os.mkdir(os.path.join(root, "m"))
            for i in range(500):
                os.mkdir(os.path.join(root, f"m/{i}"))
                with open(os.path.join(root, f"m/f{i}"), "wb"):
                    pass
        masked = [f"/m/{i}" for i in range(500)] + [f"/m/f{i}" for i in range(500)]
        mounts = [*harness.default_config()["mounts"],
                  *({"destination": f"/b/{i}", "type": "bind", "source": self.source(),
                     "options": ["rbind", "ro"]} for i in range(200))]
        out = self.output_of("grep -c ' /m/' /proc/self/mountinfo; grep -c ' /b/' /proc/self/mountinfo",
                             {"mounts": mounts, "linux": {"maskedPaths": masked}}, prepare=prepare)
        self.assertEqual(out.split(), ["1000", "200"])


class Process(OciCase):
    def test_streams_belong_to_the_user(self):
        bundle = self.bundle("/bin/sh", "-c", "echo fine >/dev/stdout; echo more >/dev/stderr",
                             changes={"process": {"user": {"uid": 1000, "gid": 1000}}})
        # Standard input is the machine's null device, which stays as it is.
        owner = os.stat("/dev/null").st_uid
        done = self.oci("run", "--bundle", bundle, self.name)
        self.assert_ok(done)
        self.assertEqual((done.out, done.err), ("fine\n", "more\n"))
        self.assertEqual(os.stat("/dev/null").st_uid, owner)
        bundle = self.bundle("/bin/sleep", "60")
        self.start_new(bundle)
        done = self.oci("exec", "--user", "1000:1000", self.name, "sh", "-c", "echo fine >/dev/stdout")
        self.assert_ok(done)
        self.assertEqual(done.out, "fine\n")
        self.delete("--force")

    def test_descriptors_and_socket_activation(self):
        script = "ls -l /proc/self/fd | sed -n 's/.* \\([0-9]*\\) -> .*given.*/\\1/p'; env | grep ^LISTEN | sort"
        bundle = self.bundle("/bin/sh", "-c", script)
        fds = []
        for i in range(4):
            fds.append(os.open(os.path.join(self.dir, f"given-{i}"), os.O_RDWR | os.O_CREAT))
        target = [200 + i for i in range(4)]
        for fd, number in zip(fds, target):
            os.dup2(fd, number)
            os.close(fd)

        def run(preserve, listen, *command):
            # Put in the places 3... by the shell, so that nothing else of this process goes along.
            places = " ".join(f"{3 + i}<&{number}" for i, number in enumerate(target))
            env = {**os.environ, **({"LISTEN_FDS": str(listen), "LISTEN_FDNAMES": "a:b"} if listen else {})}
            words = command or ("run", *(("--preserve-fds", str(preserve)) if preserve else ()),
                                "--bundle", bundle, self.name)
            argv = ["bash", "-c", f'exec "$@" {places}', "-", oci_program(), "--root", self.state, *words]
            done = harness.run(argv, env=env, pass_fds=target)
            self.assert_ok(done)
            return done.out.split()
        self.addCleanup(lambda: [os.close(number) for number in target])
        self.assertEqual(run(0, 0), [])
        self.assertEqual(run(2, 0), ["3", "4"])
        self.assertEqual(run(0, 2), ["3", "4", "LISTEN_FDNAMES=a:b", "LISTEN_FDS=2", "LISTEN_PID=1"])
        self.assertEqual(run(1, 2)[:3], ["3", "4", "5"])
        self.start_new(self.bundle("/bin/sleep", "60"))
        out = run(0, 1, "exec", "--preserve-fds", "1", self.name, "sh", "-c", script)
        self.assertEqual(out, ["3", "4", "LISTEN_FDNAMES=a:b", "LISTEN_FDS=1", "LISTEN_PID=1"])
        self.delete("--force")

    def test_groups_of_the_caller_are_kept(self):
        done = self.run_in("id -G", {"annotations": {"run.oci.keep_original_groups": "1"},
                                     "process": {"user": {"additionalGids": [77]}}},
                           extra_groups=[5, 3003])
        self.assert_ok(done)
        self.assertEqual(sorted(done.out.split()), ["0", "3003", "5"])

    def test_processors(self):
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < 2:
            self.skipTest("needs two processors")
        first, second = allowed[:2]
        own = "sed -n 's/Cpus_allowed_list:.//p' /proc/self/status"
        bundle = self.bundle("/bin/sleep", "60", changes={"process": {"execCPUAffinity": {
            "initial": str(first), "final": str(second)}}})
        self.start_new(bundle)
        self.assertEqual(self.oci("exec", self.name, "sh", "-c", own).out.strip(), str(second))
        for affinity, expected in (({"initial": str(first)}, str(first)),
                                   ({"final": f"{first}"}, str(first)), ({}, None)):
            process = {**harness.default_config()["process"], "args": ["/bin/sh", "-c", own],
                       "execCPUAffinity": affinity}
            path = os.path.join(self.dir, "process.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(process, file)
            done = self.oci("exec", "--process", path, self.name)
            self.assert_ok(done)
            if expected is not None:
                self.assertEqual(done.out.strip(), expected)
        self.delete("--force")
        # What restricts the caller does not restrict the container.
        bundle = self.bundle("/bin/sh", "-c", own)
        done = harness.run(["taskset", "-c", str(first), oci_program(), "--root", self.state, "run",
                            "--bundle", bundle, self.name])
        self.assert_ok(done)
        self.assertNotEqual(done.out.strip(), str(first))

    def test_scheduling_memory_policy_and_personality_hold_for_exec_too(self):
        process = {"scheduler": {"policy": "SCHED_BATCH", "nice": 7},
                   "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 0}}
        linux = {"memoryPolicy": {"mode": "MPOL_PREFERRED", "nodes": "0"},
                 "personality": {"domain": "LINUX32"}}
        script = ("uname -m; cut -d' ' -f19,41 /proc/self/stat; ionice -p $$; "
                  "test ! -e /proc/self/numa_maps || ! grep -q ' default ' /proc/self/numa_maps && "
                  "grep -q ' prefer:0 ' /proc/self/numa_maps && echo preferred")
        bundle = self.bundle("/bin/sh", "-c", script + "; sleep 60",
                             changes={"process": process, "linux": linux})
        self.start_new(bundle)
        inside = self.oci("exec", self.name, "sh", "-c", script)
        self.assert_ok(inside)
        self.assertIn("i686\n7 3\n", inside.out)
        self.assertIn("idle", inside.out)
        harness.wait_until(lambda: "idle" in self.kept_output(), "the first process writes")
        self.assertIn("i686\n7 3\n", self.kept_output())
        if os.path.exists("/proc/self/numa_maps"):
            self.assertIn("preferred", inside.out)
            harness.wait_until(lambda: "preferred" in self.kept_output(), "its memory policy")
        self.delete("--force")

    def test_pidfd_receiver(self):
        with self.console_socket() as (path, receive):
            bundle = self.bundle("/bin/sleep", "60", changes={
                "annotations": {"run.oci.pidfd_receiver": path}})
            self.assert_ok(self.create(bundle))
            _, fds = receive()
            with open(f"/proc/self/fdinfo/{fds[0]}", encoding="utf-8") as file:
                pid = int(re.search(r"^Pid:\s+(\d+)", file.read(), re.M)[1])
            self.assertEqual(pid, self.state_of()["pid"])
        self.delete("--force")


class Resctrl(OciCase):
    def test_without_a_mount_nothing_starts(self):
        if any(" - resctrl " in line for line in harness.mountinfo()):
            self.skipTest("this machine has one")
        done = self.run_in("true", {"linux": {"intelRdt": {"closID": "gold"}}})
        self.assert_status(done, 1)
        self.assertIn("linux.intelRdt: no resctrl file system is mounted", done.err)


class Hooks(OciCase):
    def test_output_goes_to_the_files_of_the_annotations(self):
        out, err = (os.path.join(self.dir, name) for name in ("hooks.out", "hooks.err"))
        talk = hook("echo to-out; echo to-err >&2")
        bundle = self.bundle("/bin/true", changes={
            "annotations": {"run.oci.hooks.stdout": out, "run.oci.hooks.stderr": err},
            "hooks": {phase: [talk] for phase in ("prestart", "createRuntime", "createContainer",
                                                  "poststart", "poststop")}})
        self.assert_ok(self.create(bundle))
        self.assert_ok(self.oci("start", self.name))
        self.wait_stopped()
        self.delete()
        for path, line in ((out, "to-out\n"), (err, "to-err\n")):
            with open(path, encoding="utf-8") as file:
                self.assertEqual(file.read(), 5 * line)


class Notify(OciCase):
    """A service manager that listens, as systemd does for a unit of Type=notify."""

    READY = ("import socket,os; s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM);"
             "s.connect(os.environ['NOTIFY_SOCKET']); s.send(b'STATUS=soon'); s.send(b'READY=1\\nX=1')")

    def manager(self):
        path = os.path.join(self.dir, f"manager-{len(os.listdir(self.dir))}")
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(path)
        listener.settimeout(harness.TIMEOUT)
        self.addCleanup(listener.close)
        messages = []

        def serve():
            while not any("BARRIER" in text for text in messages):
                try:
                    text, ancillary, _, _ = listener.recvmsg(4096, socket.CMSG_LEN(64))
                except OSError:
                    return
                messages.append(text.decode())
                for _, _, payload in ancillary:
                    fds = array.array("i")
                    fds.frombytes(payload[:len(payload) - len(payload) % fds.itemsize])
                    for fd in fds:
                        os.close(fd)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        return path, messages, thread

    def service(self, changes=None):
        """A bundle whose program says that it is ready when the file `go` appears."""
        bundle = self.bundle("/usr/bin/python3", "-c", self.READY + "; import time; time.sleep(60)")
        config = harness.default_config()
        config["process"]["args"] = ["/usr/bin/python3", "-c", self.READY + "; import time; time.sleep(60)"]
        config["root"] = {"path": "/", "readonly": True}
        config["mounts"] = [*config["mounts"], {"destination": "/run", "type": "tmpfs", "source": "run"}]
        self.write_config(bundle, harness.deep_update(config, changes or {}))
        return bundle

    def check(self, messages, thread):
        thread.join(harness.TIMEOUT)
        pid = self.state_of()["pid"]
        self.assertEqual(messages, [f"READY=1\nMAINPID={pid}\n", "BARRIER=1"])

    def test_create_and_start(self):
        path, messages, thread = self.manager()
        env = {"NOTIFY_SOCKET": path}
        self.assert_ok(self.create(self.service(), env=env))
        self.assertEqual(messages, [])
        self.assert_ok(self.oci("start", self.name, env=env))
        self.check(messages, thread)
        self.delete("--force")

    def test_run_detached(self):
        path, messages, thread = self.manager()
        self.assert_ok(self.kept_oci("run", "--detach", "--bundle", self.service(), self.name,
                                     env={"NOTIFY_SOCKET": path}))
        self.check(messages, thread)
        self.delete("--force")

    def test_a_program_that_ends_unready_does_not_hold_anybody_up(self):
        path, messages, _ = self.manager()
        env = {"NOTIFY_SOCKET": path}
        bundle = self.bundle("/bin/sh", "-c", "test -S $NOTIFY_SOCKET && exit 7",
                             changes={"process": {"env": ["PATH=/bin", "NOTIFY_SOCKET=/other"]}})
        done = self.oci("run", "--bundle", bundle, self.name, env=env)
        self.assert_status(done, 7)
        self.assertEqual(messages, [])


if __name__ == "__main__":
    harness.main()
