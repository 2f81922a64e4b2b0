"""Mounts of config.json as programs inside see them."""

import os
import re
import stat

import harness
from oci_case import OciCase, oci_program


def mount(destination, source=None, *options, kind=None, **more):
    entry = {"destination": destination, "options": list(options), **more}
    if source:
        entry["source"] = source
    if kind:
        entry["type"] = kind
    return entry


class Mounts(OciCase):
    def setUp(self):
        super().setUp()
        self.source = os.path.join(self.dir, "source")
        os.mkdir(self.source)
        self.write(os.path.join(self.source, "file"), "from the host\n")

    @staticmethod
    def write(path, text):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def mounted(self, script, *mounts, changes=None, **options):
        """Runs a script with these mounts after the default ones."""
        all_changes = {"mounts": harness.default_config()["mounts"] + list(mounts), "root": {"readonly": False}}
        return self.run_in(script, harness.deep_update(all_changes, changes or {}), **options)

    def out(self, *arguments, **options):
        done = self.mounted(*arguments, **options)
        self.assert_ok(done)
        return done.out

    @staticmethod
    def options_of(mountinfo, point):
        """Mount options and super options of the last mount on a point."""
        found = [line.split(" - ") for line in mountinfo.splitlines() if line.split()[4] == point]
        before, after = found[-1]
        return set(before.split()[5].split(",")), set(after.split()[2].split(",")), before.split()[6:]

    def mount_outside(self, *words):
        """mount(8); taken back at the end unless it only changes what is there."""
        self.assert_ok(harness.run(["mount", *words]))
        if not words[0].startswith("--make"):
            self.addCleanup(harness.run, ["umount", "-l", words[-1]])

    # Binds.

    def test_bind_shows_and_changes_the_host_s_directory(self):
        out = self.out("cat /inside/file; echo changed > /inside/file; touch /inside/new",
                       mount("/inside", self.source, "bind"))
        self.assertEqual(out, "from the host\n")
        self.assertEqual(sorted(os.listdir(self.source)), ["file", "new"])

    def test_read_only_bind(self):
        done = self.mounted("cat /inside/file; touch /inside/new", mount("/inside", self.source, "bind", "ro"))
        self.assertEqual((done.status, done.out), (1, "from the host\n"))
        self.assertIn("Read-only file system", done.err)

    def test_rbind_has_the_mounts_below_and_bind_has_not(self):
        below = os.path.join(self.source, "below")
        os.mkdir(below)
        self.mount_outside("-t", "tmpfs", "tmpfs", below)
        self.write(os.path.join(below, "deep"), "deep\n")
        self.assertEqual(self.out("cat /inside/below/deep", mount("/inside", self.source, "rbind")), "deep\n")
        self.assertEqual(self.out("ls /inside/below", mount("/inside", self.source, "bind")), "")
        # ro is of the top mount only, rro of all.
        self.assertEqual(self.out("touch /inside/below/x && echo made", mount("/inside", self.source, "rbind", "ro")),
                         "made\n")
        done = self.mounted("touch /inside/below/y", mount("/inside", self.source, "rbind", "rro"))
        self.assertIn("Read-only file system", done.err)

    def test_recursive_attributes(self):
        below = os.path.join(self.source, "below")
        os.mkdir(below)
        self.mount_outside("-t", "tmpfs", "tmpfs", below)
        info = self.out("cat /proc/self/mountinfo",
                        mount("/inside", self.source, "rbind", "rnosuid", "rnodev", "rnoexec", "rnoatime"))
        for point in ("/inside", "/inside/below"):
            self.assertLessEqual({"nosuid", "nodev", "noexec", "noatime"}, self.options_of(info, point)[0], point)

    def test_attributes_of_a_bind(self):
        for option in ("nosuid", "nodev", "noexec", "noatime", "nodiratime", "nosymfollow"):
            with self.subTest(option):
                info = self.out("cat /proc/self/mountinfo", mount("/inside", self.source, "bind", option))
                self.assertIn(option, self.options_of(info, "/inside")[0])

    def test_later_options_win(self):
        info = self.out("cat /proc/self/mountinfo", mount("/inside", self.source, "bind", "ro", "rw", "noexec", "exec"))
        options = self.options_of(info, "/inside")[0]
        self.assertIn("rw", options)
        self.assertNotIn("noexec", options)

    def test_a_file_is_bound_on_a_file_that_is_made(self):
        out = self.out("cat /a/b/c", mount("/a/b/c", os.path.join(self.source, "file"), "bind"))
        self.assertEqual(out, "from the host\n")

    def test_relative_sources_are_of_the_bundle(self):
        bundle = self.bundle("/bin/cat", "/inside/file", changes={
            "mounts": harness.default_config()["mounts"] + [mount("/inside", "data", "bind")],
            "root": {"readonly": False}})
        os.mkdir(os.path.join(bundle, "data"))
        self.write(os.path.join(bundle, "data", "file"), "of the bundle\n")
        self.assertEqual(self.oci("run", "--bundle", bundle, self.name, cwd="/").out, "of the bundle\n")

    def test_a_bind_over_a_read_only_root(self):
        def prepare(rootfs):
            os.mkdir(os.path.join(rootfs, "inside"))
        done = self.mounted("touch /x; touch /inside/x && echo made", mount("/inside", self.source, "bind"),
                            changes={"root": {"readonly": True}}, prepare=prepare)
        self.assertEqual(done.out, "made\n")
        self.assertIn("Read-only file system", done.err)

    def test_mounts_are_made_in_the_order_given(self):
        second = os.path.join(self.dir, "second")
        os.mkdir(second)
        self.write(os.path.join(second, "which"), "second\n")
        out = self.out("cat /inside/which", mount("/inside", self.source, "bind"), mount("/inside", second, "bind"))
        self.assertEqual(out, "second\n")
        out = self.out("cat /inside/file/which; cat /inside/sub/which", mount("/inside", "tmpfs", kind="tmpfs"),
                       mount("/inside/file", second, "bind"), mount("/inside/sub", second, "bind"))
        self.assertEqual(out, "second\nsecond\n")

    def test_idmapped_bind(self):
        os.chown(os.path.join(self.source, "file"), 1000, 1000)
        maps = [{"containerID": 1000, "hostID": 5000, "size": 1}, {"containerID": 0, "hostID": 6000, "size": 1}]
        done = self.mounted("stat -c '%u %g' /inside/file; touch /inside/new; stat -c %u /inside/new",
                            mount("/inside", self.source, "bind", "idmap", uidMappings=maps, gidMappings=maps))
        if "not supported" in done.err or "Invalid argument" in done.err:
            self.skipTest(f"the file system of {self.source} cannot be mounted with mapped ids: {done.err}")
        self.assertEqual(done.out.splitlines()[0], "5000 5000", str(done))

    def test_unknown_options_of_a_bind_are_named(self):
        done = self.mounted("true", mount("/inside", self.source, "bind", "nosuchoption"))
        self.assertNotEqual(done.status, 0)
        self.assertIn("nosuchoption", done.err)

    # New file systems.

    def test_tmpfs_with_options(self):
        info = self.out("cat /proc/self/mountinfo; stat -c '%a %u %g' /inside", mount(
            "/inside", "tmpfs", "nosuid", "noexec", "size=1m", "mode=1750", "uid=3", "gid=4", kind="tmpfs"))
        *info, mode = info.splitlines()
        own, of_super, _ = self.options_of("\n".join(info), "/inside")
        self.assertLessEqual({"nosuid", "noexec"}, own)
        self.assertIn("size=1024k", of_super)
        self.assertEqual(mode, "1750 3 4")

    def test_tmpfs_takes_a_copy_of_what_it_covers(self):
        def prepare(rootfs):
            folder = os.path.join(rootfs, "covered/sub")
            os.makedirs(folder)
            self.write(os.path.join(folder, "file"), "of the image\n")
            os.chmod(os.path.join(folder, "file"), 0o644)
            os.chown(os.path.join(folder, "file"), 12, 34)
            os.symlink("sub/file", os.path.join(rootfs, "covered/link"))
        script = "cat /covered/link; stat -c '%a %u %g' /covered/sub/file"
        out = self.out(script, mount("/covered", "tmpfs", "tmpcopyup", kind="tmpfs"), prepare=prepare)
        self.assertEqual(out, "of the image\n644 12 34\n")
        self.assertEqual(self.out("ls /covered", mount("/covered", "tmpfs", kind="tmpfs"), prepare=prepare), "")

    def test_tmpfs_has_the_mode_of_what_it_covers_or_is_for_everybody(self):
        def prepare(rootfs):
            os.mkdir(os.path.join(rootfs, "covered"))
            os.chmod(os.path.join(rootfs, "covered"), 0o2750)
        done = self.mounted("stat -c %a /covered /not/there", mount("/covered", "tmpfs", kind="tmpfs"),
                            mount("/not/there", "tmpfs", kind="tmpfs"), prepare=prepare)
        self.assertEqual(done.out, "2750\n1777\n", str(done))

    def test_a_file_system_s_own_error_is_told(self):
        done = self.mounted("true", mount("/inside", "tmpfs", "size=nonsense", kind="tmpfs"))
        self.assertNotEqual(done.status, 0)
        self.assertIn("size", done.err)

    # Propagation.

    def test_mounts_of_the_container_stay_in_it(self):
        before = self.host_mounts()
        caps = {kind: ["CAP_SYS_ADMIN"] for kind in ("bounding", "effective", "permitted")}
        for propagation in ("private", "slave", "unbindable"):
            out = self.out("mount -t tmpfs tmpfs /tmp && echo mounted",
                           changes={"process": {"capabilities": caps}, "linux": {"rootfsPropagation": propagation}})
            self.assertEqual(out, "mounted\n")
        self.assertEqual(self.host_mounts(), before)

    def test_propagation_of_a_bind(self):
        self.mount_outside("--bind", self.source, self.source)
        self.mount_outside("--make-shared", self.source)
        for option, tag in (("rshared", "shared:"), ("rslave", "master:"), ("rprivate", None)):
            with self.subTest(option):
                info = self.out("cat /proc/self/mountinfo", mount("/inside", self.source, "rbind", option))
                optional = self.options_of(info, "/inside")[2]
                if tag:
                    self.assertTrue(any(field.startswith(tag) for field in optional), optional)
                else:
                    self.assertEqual(optional, [])

    def test_a_mount_on_the_host_reaches_a_slave(self):
        self.mount_outside("--bind", self.source, self.source)
        self.mount_outside("--make-shared", self.source)
        os.mkdir(os.path.join(self.source, "later"))
        bundle = self.bundle("/bin/sleep", "1000", changes={
            "mounts": harness.default_config()["mounts"] + [mount("/inside", self.source, "rbind", "rslave")],
            "root": {"readonly": False}})
        self.start_new(bundle)
        self.mount_outside("-t", "tmpfs", "tmpfs", os.path.join(self.source, "later"))
        self.write(os.path.join(self.source, "later/seen"), "seen\n")
        self.assertEqual(self.oci("exec", self.name, "cat", "/inside/later/seen").out, "seen\n")
        self.delete("--force")

    def where_all_is_shared(self, bundle, *, outside):
        """Runs a bundle where every mount is shared, as systemd makes them, and then a shell script
        there that sees what has become of the mounts."""
        argv = ["unshare", "--mount", "--propagation", "private", "sh", "-ec",
                'mount --make-rshared /; script=$1; shift; "$@"; eval "$script"', "shared", outside,
                oci_program(), "--root", self.state, "run", "--bundle", bundle, self.name]
        return harness.run(argv)

    def with_many_mounts(self, script):
        """Runs the script in a mount namespace with 300 mounts more than the host's own; $OCI is the runtime."""
        many = ('mkdir -p "$1/many" && mount -t tmpfs none "$1/many" && cd "$1/many" && i=0; '
                'while [ $i -lt 300 ]; do mkdir $i && mount --bind $i $i; i=$((i + 1)); done; cd /; eval "$2"')
        return harness.run(["unshare", "--mount", "--propagation", "private", "sh", "-ec", many, "many", self.dir, script],
                           env={**os.environ, "OCI": f"{oci_program()} --root {self.state}"})

    def test_where_the_host_has_many_mounts_the_container_starts_from_none(self):
        show = "cut -d' ' -f4- /proc/self/mountinfo | sed 's/ [0-9]* - / - /' | cut -d' ' -f2-"
        bundle = self.bundle("/bin/sh", "-c", show)
        few = self.oci("run", "--bundle", bundle, self.name)
        many = self.with_many_mounts(f'$OCI run --bundle {bundle} {self.name}; grep -c " /run/caisson-mounts/empty " '
                                     "/proc/self/mountinfo")
        self.assert_ok(few)
        self.assert_ok(many)
        *mounts, bound = many.out.splitlines()
        self.assertEqual(bound, "1")
        self.assertEqual(mounts, few.out.splitlines())

    def test_below_a_root_on_the_empty_namespace_there_is_nothing(self):
        caps = {kind: ["CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE"] for kind in ("bounding", "effective", "permitted")}
        # Without its root file system the namespace has its first root: whoever enters it anew stands there.
        bundle = self.bundle("/bin/sh", "-c", "cd /proc/1/ns && umount -l / && echo gone; exec nsenter -m./mnt /bin/busybox ls -A /",
                             changes={"process": {"capabilities": caps}, "root": {"readonly": False}})
        done = self.with_many_mounts(f"$OCI run --bundle {bundle} {self.name} || echo status $?")
        self.assertEqual(done.out.split(), ["gone", "status", "127"], str(done))

    def test_exec_joins_a_container_on_the_empty_namespace(self):
        bundle = self.bundle("/bin/sleep", "1000")
        done = self.with_many_mounts(
            f"$OCI run --detach --bundle {bundle} {self.name} </dev/null >/dev/null 2>&1; "
            f"$OCI exec {self.name} sh -c 'ls -d /bin/busybox && wc -l < /proc/self/mountinfo'; $OCI delete --force {self.name}")
        self.assert_ok(done)
        path, count = done.out.split()
        self.assertEqual(path, "/bin/busybox")
        self.assertLess(int(count), 100)

    def test_where_all_mounts_are_shared_the_container_s_stay_in_it(self):
        caps = {kind: ["CAP_SYS_ADMIN"] for kind in ("bounding", "effective", "permitted")}
        inside = ("mount -t tmpfs leaked /tmp && mount -t tmpfs leaked /inside/below && echo mounted; "
                  "grep ' /inside ' /proc/self/mountinfo | cut -d' ' -f7 | cut -d: -f1")
        os.mkdir(os.path.join(self.source, "below"))
        for propagation in (None, "private", "slave", "shared"):
            for option, tag in ((None, ["-"]), ("rprivate", ["-"]), ("rslave", ["master"]), ("rshared", ["shared"])):
                with self.subTest(propagation=propagation, option=option):
                    bundle = self.bundle("/bin/sh", "-c", inside, changes={
                        "process": {"capabilities": caps}, "linux": {"rootfsPropagation": propagation},
                        "root": {"readonly": False}, "mounts": harness.default_config()["mounts"] + [
                            mount("/inside", self.source, "rbind", *([option] if option else []))]})
                    done = self.where_all_is_shared(bundle, outside="grep -c leaked /proc/self/mountinfo || true")
                    self.assert_ok(done)
                    mounted, kind, leaked = done.out.split()
                    self.assertEqual(mounted, "mounted", str(done))
                    # Back to the host goes what both the root file system and the mount ask for.
                    back = propagation == "shared" and option in (None, "rshared")
                    self.assertEqual(leaked, "1" if back else "0", str(done))
                    if option is None:
                        tag = {"slave": ["master"], "shared": ["shared"]}.get(propagation, ["-"])
                    self.assertIn(kind, tag, str(done))

    # The root, masks.

    def test_root_is_read_only_when_asked(self):
        done = self.run_in("touch /x; touch /dev/shm/y && echo shm")
        self.assertEqual(done.out, "shm\n")
        self.assertIn("Read-only file system", done.err)
        self.assert_ok(self.run_in("touch /x", {"root": {"readonly": False}}))

    def test_masked_and_read_only_paths(self):
        def prepare(rootfs):
            os.makedirs(os.path.join(rootfs, "hidden-dir"))
            self.write(os.path.join(rootfs, "hidden-dir/file"), "x")
            self.write(os.path.join(rootfs, "hidden-file"), "x")
            os.makedirs(os.path.join(rootfs, "kept"))
        script = ("ls /hidden-dir; cat /hidden-file; touch /hidden-dir/new 2>&1; echo x > /kept/new; "
                  "echo 1 > /proc/sys/kernel/hostname; cat /proc/keys | wc -c")
        done = self.mounted(script, changes={"linux": {
            "maskedPaths": ["/hidden-dir", "/hidden-file", "/proc/keys", "/not/there"],
            "readonlyPaths": ["/kept", "/proc/sys", "/not/there/either"]}}, prepare=prepare)
        self.assertIn("Read-only file system", done.out)
        self.assertTrue(done.out.endswith("\n0\n"), done.out)
        self.assertEqual(done.err.count("Read-only file system"), 2, done.err)

    def test_standard_links_and_devices(self):
        out = self.out("for l in fd stdin stdout stderr ptmx; do readlink /dev/$l; done; ls /dev/pts; "
                       "stat -f -c %T /dev/shm /dev/mqueue /proc /sys")
        self.assertEqual(out.split()[:5], ["/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2",
                                           "pts/ptmx"])
        self.assertIn("ptmx", out)

    def test_a_missing_target_is_made_in_the_image_and_nowhere_else(self):
        bundle = self.bundle("/bin/true", changes={
            "mounts": harness.default_config()["mounts"] + [mount("/made/for/it", self.source, "bind")],
            "root": {"readonly": False}})
        self.assert_ok(self.oci("run", "--bundle", bundle, self.name))
        made = os.stat(os.path.join(bundle, "rootfs/made/for/it"))
        self.assertEqual(stat.S_IMODE(made.st_mode), 0o755)
        self.assertFalse(os.path.exists("/made"))

    def test_cgroups_are_shown_read_only(self):
        if harness.cgroup_v2_only():
            self.skipTest("a host with cgroup v1 hierarchies")
        out = self.out("ls /sys/fs/cgroup; cat /sys/fs/cgroup/pids/pids.max; mkdir /sys/fs/cgroup/pids/x 2>&1; exit 0",
                       changes={"linux": {"resources": {"pids": {"limit": 33}}}})
        self.assertIn("33\n", out)
        self.assertIn("Read-only file system", out)

    def test_two_hundred_binds(self):
        mounts = [mount(f"/many/{i}", self.source, "bind", "ro", "nosuid") for i in range(200)]
        out = self.out("ls /many | wc -l; cat /many/199/file; grep -c ' /many/' /proc/self/mountinfo", *mounts)
        self.assertEqual(out, "200\nfrom the host\n200\n")

    def test_the_host_s_mounts_are_as_before(self):
        before = self.mounts_of_the_host()
        self.out("true", mount("/inside", self.source, "rbind", "rshared"), mount("/x", "tmpfs", kind="tmpfs"))
        self.mounted("true", mount("/inside", "/missing", "bind"))
        self.assertEqual(self.mounts_of_the_host(), before)

    def mounts_of_the_host(self):
        # Without ids, and without what tests beside this one mount in folders of their own.
        lines = [re.sub(r"^\d+ \d+ ", "", line) for line in harness.mountinfo()]
        return [line for line in lines if "/var/tmp/ct-" not in line or self.dir in line]


if __name__ == "__main__":
    harness.main()
