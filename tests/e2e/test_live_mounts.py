"""Mounts that a running container gets and loses: caisson mount and unmount, caisson-oci mounts."""

import json
import os

import harness
from oci_case import OciCase

USER = {"linux": {
    "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup", "user")],
    "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
    "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}]}}


class LiveMounts(OciCase):
    def setUp(self):
        super().setUp()
        self.source = os.path.join(self.dir, "source")
        os.mkdir(self.source)
        with open(os.path.join(self.source, "file"), "w", encoding="utf-8") as file:
            file.write("of the host\n")

    def running(self, changes=None, user=False):
        bundle = self.bundle("/bin/sleep", "1000", changes=harness.deep_update(
            {"root": {"readonly": False}, **(USER if user else {})}, changes or {}))
        rootfs = os.path.join(bundle, "rootfs")
        for folder, _, files in os.walk(rootfs) if user else ():
            for path in (folder, *(os.path.join(folder, name) for name in files)):
                os.lchown(path, 100000, 100000)
        self.start_new(bundle)
        return rootfs

    def mounts(self, verb, *entries, file="-"):
        return self.oci("mounts", verb, self.name, file, input=json.dumps(list(entries)))

    def inside(self, script):
        return self.oci("exec", self.name, "/bin/sh", "-c", script)

    def bind(self, destination, *options, source=None):
        return {"destination": destination, "source": source or self.source, "type": "bind", "options": ["bind", *options]}

    def mountinfo_inside(self):
        return [line.split(" ", 2)[2] for line in self.inside("cat /proc/self/mountinfo").out.splitlines()]

    def test_a_bind_and_a_tmpfs_come_and_go(self):
        for user in (False, True):
            with self.subTest(user=user):
                self.running(user=user)
                before, host = self.mountinfo_inside(), self.host_mounts()
                self.assert_ok(self.mounts("add", self.bind("/data/deep", "ro"), {
                    "destination": "/scratch", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m", "mode=700"]}))
                done = self.inside("cat /data/deep/file; touch /data/deep/x; echo y > /scratch/y; stat -c '%a %u' /scratch; "
                                   "grep -c 'size=1024k' /proc/self/mounts")
                self.assertEqual(done.out, "of the host\n700 0\n1\n", str(done))
                self.assertIn("Read-only file system", done.err)
                self.assertEqual(self.host_mounts(), host)
                self.assert_ok(self.mounts("remove", {"destination": "/data/deep"}, {"destination": "/scratch/"}))
                self.assertEqual(self.mountinfo_inside(), before)
                self.delete("--force")

    def test_before_its_start_and_while_it_is_paused(self):
        bundle = self.bundle("/bin/sh", "-c", "cat /data/file", changes={"root": {"readonly": False}})
        self.assert_ok(self.create(bundle))
        self.assert_ok(self.mounts("add", self.bind("/data")))
        self.assert_ok(self.oci("start", self.name))
        self.wait_stopped()
        self.assertEqual(self.kept_output(), "of the host\n")
        done = self.mounts("add", self.bind("/data"))
        self.assert_status(done, 1)
        self.assertIn("container not running", done.err)
        self.delete()
        self.running()
        self.assert_ok(self.oci("pause", self.name))
        self.assert_ok(self.mounts("add", self.bind("/data")))
        self.assert_ok(self.oci("resume", self.name))
        self.assertEqual(self.inside("cat /data/file").out, "of the host\n")
        self.delete("--force")

    def test_a_file_and_mapped_ids(self):
        os.chown(os.path.join(self.source, "file"), 1000, 1000)
        maps = [{"containerID": 1000, "hostID": 101000, "size": 1}]
        self.running(user=True)
        self.assert_ok(self.mounts("add", {**self.bind("/etc/one", source=os.path.join(self.source, "file")),
                                           "uidMappings": maps, "gidMappings": maps}))
        self.assertEqual(self.inside("stat -c '%u %g' /etc/one; cat /etc/one").out, "1000 1000\nof the host\n")
        self.assert_ok(self.mounts("remove", {"destination": "/etc/one"}))
        self.assertEqual(self.inside("cat /etc/one").out, "")
        self.delete("--force")

    def test_all_or_none(self):
        for user in (False, True):
            self.running(user=user)
            before = self.mountinfo_inside()
            link = self.inside("ln -s loop /loop && mkdir /there")
            self.assert_ok(link)
            done = self.mounts("add", self.bind("/there"), self.bind("/there/below"), self.bind("/loop/x"))
            self.assert_status(done, 1)
            self.assertIn("mounts[2]", done.err)
            self.assertEqual(self.mountinfo_inside(), before)
            self.delete("--force")

    def test_what_is_wrong_is_named(self):
        self.running()
        before = self.mountinfo_inside()
        cases = [("add", self.bind("/data", source="/not/there"), "/not/there"),
                 ("add", self.bind("/data", "nosuchoption"), "nosuchoption"),
                 ("add", self.bind("/"), "root file system"),
                 ("add", self.bind("/proc/self"), "inside /proc"),
                 ("add", {"destination": "/p", "type": "proc", "source": "proc"}, "only bind mounts and file systems of type tmpfs"),
                 ("add", {"destination": "/p", "type": "cgroup", "source": "c"}, "only bind mounts and file systems of type tmpfs"),
                 ("add", {"destination": "/tmp", "options": ["remount", "ro"]}, "only bind mounts and file systems of type tmpfs"),
                 ("add", {"source": "/x"}, '"destination"'),
                 ("remove", {"destination": "/tmp"}, "nothing but the root file system is mounted there"),
                 ("remove", {"destination": "/dev/null"}, "unmount /dev/null"),
                 ("remove", {"destination": "/"}, "unmount /"),
                 ("remove", {"destination": "/not/there"}, "/not/there")]
        for verb, entry, text in cases:
            with self.subTest(entry):
                done = self.mounts(verb, entry)
                self.assert_status(done, 1)
                self.assertIn(text, done.err)
        self.assertEqual(self.mountinfo_inside(), before)
        self.assertIn("add or remove", self.oci("mounts", "list", self.name, "-").err)
        self.assert_status(self.oci("mounts", "add", "nobody", "-", input="[]"), 1)
        self.delete("--force")

    def test_links_of_the_container_stay_in_it(self):
        rootfs = self.running()
        self.assert_ok(self.inside(f"ln -s /{self.dir} /out; ln -s / /root-link; ln -s /proc/1/root /proc-link"))
        self.assert_ok(self.mounts("add", self.bind("/out/made")))
        self.assertEqual(self.inside(f"cat {self.dir}/made/file").out, "of the host\n")
        self.assertTrue(os.path.isdir(rootfs + self.dir + "/made"))
        self.assertFalse(os.path.exists(os.path.join(self.dir, "made")))
        self.assert_status(self.mounts("remove", {"destination": "/root-link"}), 1)
        self.assert_status(self.mounts("add", self.bind("/proc-link/x")), 1)
        self.assert_ok(self.mounts("remove", {"destination": "/out/made"}))
        self.delete("--force")

    def test_a_file_with_a_mounts_member_as_in_a_config(self):
        self.running()
        path = os.path.join(self.dir, "mounts.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"mounts": [self.bind("/data")]}, file)
        self.assert_ok(self.oci("mounts", "add", self.name, path))
        self.assert_ok(self.oci("mounts", "remove", self.name, path))
        self.delete("--force")

    def test_the_host_s_root_in_all_namespaces_is_not_ours_to_change(self):
        self.running()
        self.assert_ok(self.mounts("add", self.bind("/data", "rshared")))
        before = self.host_mounts()
        self.assert_ok(self.mounts("add", {"destination": "/data/below", "type": "tmpfs", "source": "tmpfs"}))
        self.assertEqual(self.host_mounts(), before)
        self.delete("--force")

    def test_people_s_commands(self):
        rootfs = self.busybox_rootfs()
        self.assert_ok(self.caisson("run", "--detach", "--rootfs", rootfs, "--name", self.name, "--", "/bin/sleep", "1000"))
        self.addCleanup(self.caisson, "rm", "--force", self.name)
        done = self.caisson("mount", "--tmpfs", "/scratch:size=1m", self.name, "source:/data:ro", cwd=self.dir)
        self.assert_ok(done)
        self.assertEqual(done.out, self.name + "\n")
        out = self.caisson("exec", self.name, "--", "/bin/sh", "-c", "cat /data/file; touch /data/x || touch /scratch/y && ls /scratch")
        self.assertEqual(out.out, "of the host\ny\n", str(out))
        self.assert_ok(self.caisson("unmount", self.name, "/data", "/scratch"))
        self.assertEqual(self.caisson("exec", self.name, "--", "/bin/ls", "/data", "/scratch").out.strip(), "/data:\n\n/scratch:")
        self.assertIn("no mount was given", self.caisson("mount", self.name).err)
        self.assertIn("not an absolute path", self.caisson("unmount", self.name, "data").err)


if __name__ == "__main__":
    harness.main()
