"""Namespaces of every kind: made, joined by path, kept."""

import os
import subprocess

import harness
from oci_case import OciCase

KINDS = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts", "mount": "mnt", "cgroup": "cgroup",
         "user": "user", "time": "time"}
MAPPED = {"uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
          "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}]}


def namespaces(*kinds, **paths):
    return [{"type": kind} for kind in kinds] + [{"type": kind, "path": path} for kind, path in paths.items()]


class Namespaces(OciCase):
    def readable_bundle(self, *args, changes=None):
        """A bundle whose root file system belongs to the mapped root."""
        bundle = self.bundle(*args, changes=changes)
        rootfs = os.path.join(bundle, "rootfs")
        for folder, names, files in os.walk(rootfs):
            for name in [".", *names, *files]:
                os.chown(os.path.join(folder, name), 100000, 100000, follow_symlinks=False)
        return bundle

    def holder(self, *unshare):
        """The pid of a process in namespaces of its own."""
        process = subprocess.Popen(["unshare", *unshare, "sh", "-c", "echo ready; exec sleep 1000"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self._background.add(process.pid)

        def stop():
            process.kill()
            process.wait()
            process.stdout.close()
            self._background.discard(process.pid)
        self.addCleanup(stop)
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process.pid

    def links(self, changes):
        names = " ".join(f"/proc/self/ns/{file}" for file in KINDS.values())
        return dict(zip(KINDS, self.output_of(f"for f in {names}; do readlink $f; done", changes).split()))

    def test_each_kind_is_new_or_the_caller_s(self):
        own = {kind: os.readlink(f"/proc/self/ns/{file}") for kind, file in KINDS.items()}
        base = {"hostname": None, "linux": {"readonlyPaths": None, "maskedPaths": None}}
        everything = ("pid", "network", "ipc", "uts", "mount", "cgroup")
        for kind in everything:
            with self.subTest(kind):
                wanted = ("mount",) if kind == "mount" else ("mount", kind)
                inside = self.links({**base, "linux": {**base["linux"], "namespaces": namespaces(*wanted)}})
                for other in KINDS:
                    (self.assertNotEqual if other in wanted else self.assertEqual)(
                        inside[other], own[other], f"{other} with {wanted}")

    def test_joined_by_path(self):
        for kind, option in (("network", "--net"), ("ipc", "--ipc"), ("uts", "--uts"), ("cgroup", "--cgroup")):
            with self.subTest(kind):
                pid = self.holder(option)
                path = f"/proc/{pid}/ns/{KINDS[kind]}"
                others = [other for other in ("pid", "network", "ipc", "uts", "mount") if other != kind]
                changes = {"hostname": None, "linux": {"namespaces": namespaces(*others, **{kind: path})}}
                self.assertEqual(self.links(changes)[kind], os.readlink(path))

    def test_a_joined_pid_namespace(self):
        pid = self.holder("--pid", "--fork", "--kill-child", "--mount-proc")
        child = harness.wait_until(lambda: open_children(pid), "the holder has its child")[0]
        path = f"/proc/{child}/ns/pid"
        changes = {"linux": {"namespaces": namespaces("network", "ipc", "uts", "mount", pid=path)}}
        out = self.output_of("readlink /proc/self/ns/pid; cat /proc/1/cmdline | tr '\\0' ' '; echo; echo $$", changes)
        link, first, own = out.splitlines()
        self.assertEqual(link, os.readlink(path))
        self.assertIn("sleep", first)
        self.assertNotEqual(own, "1")
        # The whole life of an engine's container, too: its processes are not the namespace's only ones.
        init = self.start_new(self.bundle("/bin/sleep", "1000", changes=changes))
        self.assertEqual(self.oci("exec", self.name, "readlink", "/proc/self/ns/pid").out.strip(), link)
        os.kill(init, 0)
        self.assert_ok(self.oci("kill", self.name, "KILL"))
        self.wait_stopped()
        self.delete()
        os.kill(child, 0)

    def test_a_network_namespace_bound_to_a_file(self):
        path = os.path.join(self.dir, "netns")
        with open(path, "w", encoding="ascii"):
            pass
        self.assert_ok(harness.run(["unshare", "--net=" + path, "true"]))
        self.addCleanup(harness.run, ["umount", path])
        changes = {"linux": {"namespaces": namespaces("pid", "ipc", "uts", "mount", network=path)}}
        self.assertEqual(self.links(changes)["network"], f"net:[{os.stat(path).st_ino}]")

    def test_a_new_network_has_loopback_up(self):
        self.assertIn("127.0.0.1", self.output_of("ip addr show lo; ping -c1 -W1 127.0.0.1 >/dev/null && echo up",
                                                  {"process": {"capabilities": {"effective": ["CAP_NET_RAW"],
                                                                                "permitted": ["CAP_NET_RAW"],
                                                                                "bounding": ["CAP_NET_RAW"]}}}))

    def test_user_namespace_with_mappings(self):
        changes = {"linux": {**MAPPED, "namespaces": namespaces("pid", "network", "ipc", "uts", "mount", "user",
                                                                "cgroup")}}
        script = ("id -u; cat /proc/self/uid_map; stat -c %u /bin/busybox; touch /dev/shm/x && stat -c %u /dev/shm/x; "
                  "stat -c %t:%T /dev/null; echo x > /dev/null && echo written; hostname")
        bundle = self.readable_bundle("/bin/sh", "-c", script, changes=changes)
        done = self.oci("run", "--bundle", bundle, self.name)
        self.assert_ok(done)
        out = done.out.splitlines()
        self.assertEqual(out[0], "0")
        self.assertEqual(out[1].split(), ["0", "100000", "65536"])
        self.assertEqual(out[2:], ["0", "0", "1:3", "written", "caisson-test"])

    def test_namespaces_of_the_host_are_joined_from_a_new_user_namespace(self):
        # As a container with an own user namespace that shares the network of one without.
        holder = subprocess.Popen(["unshare", "--net", "--uts", "sleep", "1000"])
        self.addCleanup(holder.wait)
        self.addCleanup(holder.kill)
        kinds = ("net", "uts")
        harness.wait_until(lambda: all(os.readlink(f"/proc/{holder.pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")
                                       for kind in kinds), "the holder has namespaces of its own")
        joined = [{"type": "network" if kind == "net" else kind, "path": f"/proc/{holder.pid}/ns/{kind}"} for kind in kinds]
        changes = {"hostname": "", "linux": {**MAPPED, "sysctl": {}, "namespaces": namespaces("pid", "ipc", "mount", "user") + joined}}
        done = self.oci("run", "--bundle", self.readable_bundle(
            "/bin/sh", "-c", "id -u; readlink /proc/self/ns/net; readlink /proc/self/ns/uts; cat /proc/self/uid_map",
            changes=changes), self.name)
        self.assert_ok(done)
        out = done.out.splitlines()
        self.assertEqual(out[:3], ["0", os.readlink(f"/proc/{holder.pid}/ns/net"), os.readlink(f"/proc/{holder.pid}/ns/uts")])
        self.assertEqual(out[3].split(), ["0", "100000", "65536"])

    def test_a_container_in_a_user_namespace_lives_and_is_joined(self):
        changes = {"process": {"user": {"uid": 1000, "gid": 1000, "additionalGids": [5]}},
                   "linux": {**MAPPED, "namespaces": namespaces("pid", "network", "ipc", "uts", "mount", "user")}}
        pid = self.start_new(self.readable_bundle("/bin/sleep", "1000", changes=changes))
        self.assertEqual(os.stat(f"/proc/{pid}").st_uid, 101000)
        done = self.oci("exec", self.name, "sh", "-c", "id -u; id -g; id -G; readlink /proc/self/ns/user")
        self.assert_ok(done)
        out = done.out.split("\n")
        self.assertEqual(out[:2], ["1000", "1000"])
        self.assertEqual(sorted(out[2].split()), ["1000", "5"])
        self.assertEqual(out[3], os.readlink(f"/proc/{pid}/ns/user"))
        done = self.oci("exec", "--user", "0", self.name, "id", "-u")
        self.assertEqual(done.out, "0\n", str(done))
        self.delete("--force")

    def test_sources_that_the_mapped_root_cannot_reach_are_bound(self):
        secret = os.path.join(self.dir, "closed")
        os.makedirs(os.path.join(secret, "source"))
        os.chmod(secret, 0o700)
        os.chmod(os.path.join(secret, "source"), 0o755)
        with open(os.path.join(secret, "source/file"), "w", encoding="ascii") as file:
            file.write("reached\n")
        changes = {"root": {"readonly": False}, "mounts": harness.default_config()["mounts"] + [
            {"destination": "/inside", "source": os.path.join(secret, "source"), "options": ["bind"]}],
            "linux": {**MAPPED, "namespaces": namespaces("pid", "network", "ipc", "uts", "mount", "user")}}
        bundle = self.readable_bundle("/bin/cat", "/inside/file", changes=changes)
        done = self.oci("run", "--bundle", bundle, self.name)
        self.assertEqual((done.status, done.out), (0, "reached\n"), str(done))

    def test_time_offsets_in_a_user_namespace(self):
        offsets = {"boottime": {"secs": 1728000, "nanosecs": 0}}
        changes = {"linux": {**MAPPED, "timeOffsets": offsets, "namespaces": namespaces("pid", "network", "ipc", "uts", "mount",
                                                                                       "user", "time")}}
        with open("/proc/uptime", encoding="ascii") as file:
            outside = float(file.read().split()[0])
        self.assertGreater(float(self.output_of("cat /proc/uptime", changes).split()[0]), outside + 1700000)

    def test_time_namespace_with_offsets(self):
        offsets = {"monotonic": {"secs": 864000, "nanosecs": 0}, "boottime": {"secs": 1728000, "nanosecs": 0}}
        changes = {"linux": {"timeOffsets": offsets, "namespaces": namespaces("pid", "network", "ipc", "uts", "mount",
                                                                              "time")}}
        with open("/proc/uptime", encoding="ascii") as file:
            own = float(file.read().split()[0])
        bundle = self.bundle("/bin/sh", "-c", "cat /proc/uptime; sleep 1000", changes=changes)
        self.start_new(bundle)
        harness.wait_until(lambda: "\n" in self.kept_output(), "the time is told")
        self.assertAlmostEqual(float(self.kept_output().split()[0]), own + 1728000, delta=100)
        inside = float(self.oci("exec", self.name, "cat", "/proc/uptime").out.split()[0])
        self.assertAlmostEqual(inside, own + 1728000, delta=100)
        self.delete("--force")

    def test_mappings_without_a_user_namespace_are_refused(self):
        done = self.run_in("true", {"linux": MAPPED})
        self.assertNotEqual(done.status, 0)
        self.assertIn("ser namespace", done.err)

    def test_a_path_of_another_kind_is_refused(self):
        pid = self.holder("--net")
        changes = {"linux": {"namespaces": namespaces("pid", "uts", "mount", ipc=f"/proc/{pid}/ns/net")}}
        done = self.run_in("true", changes)
        self.assertNotEqual(done.status, 0)
        self.assertIn("ipc", done.err)


def open_children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


if __name__ == "__main__":
    harness.main()
