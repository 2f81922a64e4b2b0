"""The finer rules of mounts: what a bind keeps of its source's flags, sources and targets that other
mounts or links lead to, mapped ids. Most are those of runc, which engines rely on."""

import os

import harness
from oci_case import OciCase
from test_oci_mounts import mount

MAP = [{"containerID": 0, "hostID": 100000, "size": 65536}]
NOBODY = "65534 65534"


class MountRules(OciCase):
    def setUp(self):
        super().setUp()
        self.source = self.folder("source")

    def folder(self, name, **files):
        path = os.path.join(self.dir, name)
        os.makedirs(path)
        for file, text in files.items():
            self.write(os.path.join(path, file), text)
        return path

    @staticmethod
    def write(path, text):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def mount_outside(self, *words):
        self.assert_ok(harness.run(["mount", *words]))
        self.addCleanup(harness.run, ["umount", "-l", words[-1]])

    def inside(self, script, *mounts, user=False, prepare=None, linux=None):
        """Runs a script in a container with these mounts; `user`: in a user namespace as well."""
        changes = {"root": {"readonly": False}, "mounts": harness.default_config()["mounts"] + list(mounts),
                   "linux": {}}
        if user:
            kinds = ("pid", "network", "ipc", "uts", "mount", "cgroup", "user")
            changes["linux"] = {"namespaces": [{"type": kind} for kind in kinds], "uidMappings": MAP, "gidMappings": MAP}
        changes["linux"].update(linux or {})

        def prepare_all(rootfs):
            if prepare:
                prepare(rootfs)
            for folder, _, files in os.walk(rootfs) if user else ():
                for path in (folder, *(os.path.join(folder, name) for name in files)):
                    os.lchown(path, 100000, 100000)
        return self.run_in(script, changes, prepare=prepare_all)


class Flags(MountRules):
    def flags(self, of_source, *options, user=False):
        """The flags of a bind mount with `options` whose source's mount has the flags `of_source`."""
        if not os.path.ismount(self.source):
            self.mount_outside("-t", "tmpfs", "tmpfs", self.source)
        for step in ("rw,suid,dev,exec,symfollow,diratime,strictatime", of_source):
            self.assert_ok(harness.run(["mount", "-o", "remount,bind," + step, self.source]))
        done = self.inside("grep ' /inside ' /proc/self/mounts", mount("/inside", self.source, "bind", *options), user=user)
        if done.status != 0:
            self.assertRegex(done.err, "error during container init: error mounting.*operation not permitted", str(done))
            self.assertIn("user namespace", done.err)
            return None
        return {word for word in done.out.split()[3].split(",") if "=" not in word and word != "inode64"}

    def assert_flags(self, cases, user=False):
        for of_source, options, expected in cases:
            with self.subTest(source=of_source, options=options):
                found = self.flags(of_source, *options.split(",") if options else (), user=user)
                if expected is not None:
                    expected = set(expected.split(","))
                self.assertEqual(found, expected)

    def test_without_options_all_flags_of_the_source_stay(self):
        cases = [("ro,noexec,nosymfollow,nodiratime", "", "ro,noexec,relatime,nosymfollow,nodiratime"),
                 ("noatime", "", "rw,noatime")]
        self.assert_flags(cases)
        self.assert_flags(cases, user=True)

    def test_one_option_names_all_flags_but_those_of_access_times(self):
        self.assert_flags([
            ("ro,noexec,nosymfollow,nodiratime", "dev", "rw,relatime,nodiratime"),
            ("ro", "nosuid,nodev,rprivate", "rw,nosuid,nodev"),
            ("ro", "rw,nosuid,nodev,rprivate", "rw,nosuid,nodev"),
            ("nosuid,nodev,noexec,noatime", "dev,suid,exec,atime", "rw,noatime"),
            ("nosuid,nodev,noexec,noatime", "ro", "ro,noatime"),
            ("nodev,nosymfollow", "ro,symfollow", "ro"),
            ("nosuid,nodev,noatime", "sync", "rw,noatime"),
            ("nosuid,nodev,noatime", "ro,exec", "ro,noatime")])

    def test_access_times_stay_unless_one_is_asked_for(self):
        self.assert_flags([
            ("noatime", "norelatime", "rw,noatime"),
            ("noatime", "atime", "rw,noatime"),
            ("noatime", "relatime", "rw,relatime"),
            ("noatime", "nodiratime", "rw,relatime,nodiratime"),
            ("nodiratime", "strictatime", "rw"),
            ("noatime", "nodiratime,strictatime", "rw,nodiratime"),
            ("noatime", "nodiratime,norelatime", "rw,relatime,nodiratime")])

    def test_in_a_user_namespace_what_is_locked_stays(self):
        self.assert_flags([
            ("ro,noexec,nosymfollow,nodiratime", "dev", "ro,noexec,relatime,nodiratime"),
            ("ro", "nosuid,nodev,rprivate", "ro,nosuid,nodev"),
            ("nosuid,nodev,noexec,noatime", "ro", "ro,nosuid,nodev,noexec,noatime"),
            ("nodev,nosymfollow", "ro,symfollow", "ro,nodev"),
            ("nodev,nosymfollow", "rw", "rw,nodev"),
            ("nodev,nosuid,noatime", "ro,exec", "ro,nosuid,nodev,noatime"),
            ("strictatime", "nostrictatime", "rw"),
            ("nodiratime", "diratime", "rw,relatime,nodiratime"),
            ("noatime,nodiratime", "atime", "rw,noatime,nodiratime")], user=True)

    def test_in_a_user_namespace_what_is_locked_cannot_be_cleared(self):
        self.assert_flags([(of_source, options, None) for of_source, options in (
            ("ro", "rw,nosuid,nodev,rprivate"), ("nodev,nosuid,noatime", "dev,suid,exec,atime"),
            ("nodiratime", "strictatime"), ("relatime", "strictatime"), ("noatime", "strictatime"),
            ("relatime", "noatime"), ("relatime", "nodiratime"), ("strictatime", "relatime"),
            ("strictatime", "nodiratime"), ("noatime", "relatime"))], user=True)

    def test_a_read_only_file_system_is_not_a_locked_flag(self):
        image = os.path.join(self.dir, "readonly")
        os.mkdir(image)
        self.mount_outside("-t", "tmpfs", "-o", "ro", "tmpfs", image)
        self.assert_ok(harness.run(["mount", "-o", "remount,bind,rw", image]))
        self.assert_ok(self.inside("ls /inside", mount("/inside", image, "bind", "rw"), user=True))

    def test_recursive_words_reach_every_mount_below(self):
        below = os.path.join(self.source, "below")
        self.mount_outside("-t", "tmpfs", "-o", "nosuid,noexec,noatime,nodiratime", "tmpfs", self.source)
        os.mkdir(below)
        self.mount_outside("-t", "tmpfs", "-o", "nosuid,noexec,noatime,nodiratime", "tmpfs", below)
        for word, gone, there in (
                ("rsuid", "nosuid", None), ("rexec", "noexec", None), ("rdiratime", "nodiratime", None),
                ("ratime", "noatime", "relatime"), ("rrelatime", "noatime", "relatime"),
                ("rstrictatime", "noatime", None), ("rnoatime", "relatime", "noatime"), ("rro", "rw", "ro"),
                ("rrw", "ro", "rw"), ("rnodev", None, "nodev"), ("rdev", "nodev", None),
                ("rnosymfollow", None, "nosymfollow"), ("rsymfollow", "nosymfollow", None),
                ("rnorelatime", "noatime", "relatime"), ("rnostrictatime", "noatime", "relatime")):
            with self.subTest(word):
                done = self.inside("grep ' /inside' /proc/self/mounts", mount("/inside", self.source, "rbind", word))
                self.assert_ok(done)
                for line in done.out.splitlines():
                    flags = line.split()[3].split(",")
                    self.assertNotIn(gone, flags)
                    self.assertTrue(there is None or there in flags, line)


class Order(MountRules):
    def tree_of_mounts(self, user=False, idmap=False):
        """Mounts within mounts, whose sources are in the container as well; the file at their end."""
        source = self.folder("bind-src")
        for name, sub in (("a", "x"), ("b", "y"), ("c", "z")):
            os.makedirs(os.path.join(source, name, sub))
            self.write(os.path.join(source, name, sub, "file"), f"{name}/{sub}\n")
            os.symlink(name, os.path.join(source, "sym-" + name))
        os.chmod(source, 0o700)
        bundle = self.bundle("/bin/cat", "/final/x/y/z/z/x/y/z/x/file")
        rootfs = os.path.join(bundle, "rootfs")
        for name in ("mnt", "final"):
            os.mkdir(os.path.join(rootfs, name))
        maps = {"uidMappings": MAP, "gidMappings": MAP} if idmap else {}

        def inner(target, of, **more):
            return mount(target, os.path.join(rootfs, of), "rbind", "rprivate", **more)
        mounts = [mount(target, os.path.join(source, of), "bind", "rprivate") for target, of in
                  (("/mnt", "a"), ("/mnt/x", "sym-b"), ("/mnt/x/y", "c"), ("/mnt/x/y/z", "sym-a"))]
        # Targets may be given as the host sees them, too.
        mounts += [inner(rootfs + "/mnt/x/y/z/x", "mnt/x", **maps), inner(rootfs + "/mnt/x/y/z", "mnt/x/y", **maps),
                   inner(rootfs + "/final", "mnt", **maps)]
        config = harness.default_config()
        config["process"]["args"] = ["/bin/cat", "/final/x/y/z/z/x/y/z/x/file"]
        config["mounts"] += mounts
        config["root"]["readonly"] = False
        if user:
            config["linux"]["namespaces"].append({"type": "user"})
            config["linux"].update(uidMappings=MAP, gidMappings=MAP)
            for folder, _, files in os.walk(rootfs):
                for path in (folder, *(os.path.join(folder, name) for name in files)):
                    os.lchown(path, 100000, 100000)
        self.write_config(bundle, config)
        return self.oci("run", "--bundle", bundle, self.name)

    def assert_tree(self, **how):
        done = self.tree_of_mounts(**how)
        self.assert_ok(done)
        self.assertEqual(done.out, "a/x\n")

    def test_a_source_in_the_root_is_what_earlier_mounts_made_it(self):
        self.assert_tree()

    def test_also_in_a_user_namespace(self):
        self.assert_tree(user=True)

    def test_also_with_mapped_ids(self):
        self.assert_tree(idmap=True)

    def test_also_with_mapped_ids_in_a_user_namespace(self):
        self.assert_tree(user=True, idmap=True)

    def test_links_that_lead_nowhere_yet_are_followed_and_made(self):
        file = os.path.join(self.source, "hosts")
        self.write(file, "of the host\n")

        def through_a_component(rootfs):
            os.symlink("/tmp/foo/bar", os.path.join(rootfs, "jump"))
            os.symlink("/jump/baz/hosts", os.path.join(rootfs, "etc/hosts"))
        done = self.inside("cat /tmp/foo/bar/baz/hosts; grep -c ' /tmp/foo/bar/baz/hosts ' /proc/self/mounts",
                           mount("/etc/hosts", file, "bind"), prepare=through_a_component)
        self.assertEqual(done.out, "of the host\n1\n", str(done))

        def at_the_end(rootfs):
            os.symlink("../tmp/./x/../hosts", os.path.join(rootfs, "etc/hosts"))
        for user in (False, True):
            done = self.inside("cat /tmp/hosts", mount("/etc/hosts", file, "bind"), prepare=at_the_end, user=user)
            self.assertEqual(done.out, "of the host\n", str(done))
            done = self.inside("cat /tmp/hosts/hosts", mount("/etc/hosts", self.source, "bind"), prepare=at_the_end, user=user)
            self.assertEqual(done.out, "of the host\n", str(done))

    def test_links_never_lead_out_of_the_root(self):
        def prepare(rootfs):
            os.symlink("../../../../../../.." + self.dir + "/outside", os.path.join(rootfs, "out"))
            os.symlink("loop", os.path.join(rootfs, "loop"))
        done = self.inside(f"ls {self.dir}", mount("/out/made", self.source, "bind"), prepare=prepare)
        self.assertEqual(done.out, "outside\n", str(done))
        self.assertFalse(os.path.exists(os.path.join(self.dir, "outside")))
        done = self.inside("true", mount("/loop/made", self.source, "bind"), prepare=prepare)
        self.assertIn("too many levels of symbolic links", done.err)


class NamespacesOfOthers(MountRules):
    """sysfs shows a network, and wants rights over the user namespace that owns it."""

    def networks_seen(self, network, user_path):
        """What /sys/class/net shows in a container with this network and user namespace, and how it is mounted."""
        kinds = [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "cgroup")]
        linux = {"namespaces": [*kinds, {"type": "network", "path": network}]}
        if user_path:
            linux["namespaces"].append({"type": "user", "path": user_path})
        else:
            linux.update(uidMappings=MAP, gidMappings=MAP)
            linux["namespaces"].append({"type": "user"})
        changes = {"linux": linux, "mounts": [entry for entry in harness.default_config()["mounts"]
                                              if entry["destination"] != "/sys/fs/cgroup"]}
        done = self.run_in("ls /sys/class/net; grep ' /sys ' /proc/self/mounts | cut -d' ' -f4; touch /sys/x",
                           changes, prepare=lambda rootfs: [os.chmod(os.path.join(rootfs, name), 0o777) for name in ("proc", "sys")])
        self.assertEqual(done.status, 1, str(done))
        self.assertIn("Read-only file system", done.err)
        return done.out.split()

    def test_sysfs_of_a_network_of_the_same_user_namespace(self):
        bundle = self.bundle("/bin/sleep", "1000", changes={"linux": {
            "namespaces": harness.default_config()["linux"]["namespaces"] + [{"type": "user"}],
            "uidMappings": MAP, "gidMappings": MAP}})
        name = self.name + "-pod"
        self.addCleanup(self.kept_oci, "delete", "--force", name)
        pid = self.start_new(bundle, name=name)
        seen, flags = self.networks_seen(f"/proc/{pid}/ns/net", f"/proc/{pid}/ns/user")
        self.assertEqual(seen, "lo")
        self.assertTrue({"ro", "nosuid", "nodev", "noexec"} <= set(flags.split(",")), flags)


class MappedIds(MountRules):
    MAPS = {"uidMappings": [{"containerID": 100, "hostID": 101000, "size": 3}],
            "gidMappings": [{"containerID": 210, "hostID": 101100, "size": 10}]}

    def setUp(self):
        super().setUp()
        other = self.folder("other", file="")
        os.makedirs(os.path.join(self.source, "below"))
        self.write(os.path.join(self.source, "file"), "")
        os.chown(os.path.join(self.source, "file"), 100, 211)
        os.chown(os.path.join(other, "file"), 101, 212)
        self.mount_outside("--bind", other, os.path.join(self.source, "below"))

    def owners(self, *options, **more):
        user = more.pop("user", True)
        linux = more.pop("linux", None)
        done = self.inside("stat -c '%u %g' /inside/file /inside/below/file",
                           mount("/inside", self.source, "rbind", *options, **more), user=user, linux=linux)
        self.assert_ok(done)
        return done.out.splitlines()

    def test_of_one_mount_or_of_all_below(self):
        self.assertEqual(self.owners(**self.MAPS), ["1000 1101", NOBODY])
        self.assertEqual(self.owners("idmap", **self.MAPS), ["1000 1101", NOBODY])
        self.assertEqual(self.owners("ridmap", **self.MAPS), ["1000 1101", "1001 1102"])
        self.assertEqual(self.owners("ridmap", user=False, **self.MAPS), ["101000 101101", "101001 101102"])
        self.assertEqual(self.owners("idmap", user=False, **self.MAPS), ["101000 101101", "101 212"])

    def test_as_the_container_maps_them(self):
        self.assertEqual(self.owners("idmap"), ["100 211", NOBODY])
        self.assertEqual(self.owners("ridmap"), ["100 211", "101 212"])
        self.assertEqual(self.owners(), [NOBODY, NOBODY])

    def test_as_the_user_namespace_that_is_joined_maps_them(self):
        holder = self.caisson_holder()
        kinds = [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")]
        linux = {"namespaces": [*kinds, {"type": "user", "path": f"/proc/{holder}/ns/user"}],
                 "uidMappings": None, "gidMappings": None}
        self.assertEqual(self.owners("ridmap", linux=linux), ["100 211", "101 212"])
        self.assertEqual(self.owners("idmap", linux=linux), ["100 211", NOBODY])

    def caisson_holder(self):
        bundle = self.bundle("/bin/sleep", "1000", changes={"linux": {
            "namespaces": harness.default_config()["linux"]["namespaces"] + [{"type": "user"}],
            "uidMappings": MAP, "gidMappings": MAP}})
        name = self.name + "-holder"
        self.addCleanup(self.kept_oci, "delete", "--force", name)
        return self.start_new(bundle, name=name)

    def test_of_a_tmpfs(self):
        for user in (False, True):
            maps = {"uidMappings": [{"containerID": 0, "hostID": 107000 if user else 7000, "size": 10}],
                    "gidMappings": [{"containerID": 0, "hostID": 107000 if user else 7000, "size": 10}]}
            done = self.inside("stat -c '%u %g' /inside", mount("/inside", "tmpfs", kind="tmpfs", **maps), user=user)
            self.assertEqual(done.out, "7000 7000\n", str(done))

    def test_copies_of_the_mount_are_seen_by_none_of_the_host_s(self):
        before = self.host_mounts()
        self.owners("ridmap", "rshared", **self.MAPS)
        self.assertEqual(self.host_mounts(), before)

    def test_an_ordinary_user_is_told_that_only_root_can(self):
        changes = {"mounts": harness.default_config()["mounts"][:1] + [mount("/inside", self.source, "bind", "idmap")],
                   "root": {"readonly": False}, "linux": {
                       "namespaces": [{"type": kind} for kind in ("pid", "mount", "user", "ipc", "uts")],
                       "uidMappings": [{"containerID": 0, "hostID": harness.NOBODY, "size": 1}],
                       "gidMappings": [{"containerID": 0, "hostID": harness.NOBODY, "size": 1}]}}
        bundle = self.bundle("/bin/true", changes=changes)
        done = self.oci("run", "--bundle", bundle, self.name, user=harness.NOBODY)
        self.assertNotEqual(done.status, 0)
        self.assertIn("only root can map the ids of a mount", done.err)


if __name__ == "__main__":
    harness.main()
