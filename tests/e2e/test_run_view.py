"""What a view of this machine shows, and what it keeps away from the machine."""

import os
import shutil
import socket
import sys

import harness

# A machine of its own for one test: extra file systems that nobody else sees. $1 is a folder of the
# test; what follows is run there.
OTHER_MACHINE = """
mount --make-rprivate /
mount -t tmpfs tmpfs "$1/home"; mkdir "$1/home/me"; echo notes > "$1/home/me/notes"
mount --bind "$1/bound" "$1/data"
mount -t tmpfs tmpfs "$1/home/me" -o size=1m; echo deep > "$1/home/me/deep"
if [ -e "$1/disk.img" ]; then mount -o loop "$1/disk.img" "$1/disk"; echo disk > "$1/disk/file"; fi
shift
exec "$@"
"""


class RunView(harness.TestCase):
    def run_command(self, *command, **options):
        return self.caisson("run", "--", *command, **options)

    def file(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def on_other_machine(self, script, disk=False, user=None):
        """Runs a shell script in a view of a machine with a separate home, a bind and a disk. What
        it leaves there is printed after it."""
        for name in ("home", "bound", "data", "disk"):
            os.mkdir(os.path.join(self.dir, name))
        self.file("bound/kept", "before\n")
        if disk:
            image = os.path.join(self.dir, "disk.img")
            with open(image, "wb") as file:
                file.truncate(8 << 20)
            self.assert_ok(harness.run(["mkfs.ext4", "-q", "-F", image]))
        argv = [harness.CAISSON, "--root", self.state, "run", "--", "sh", "-c", script, "sh", self.dir]
        if user is not None:
            argv, _ = self.as_user(argv, user)
        report = 'cd /; "$@"; status=$?; cd "$0"; find home data disk -type f | sort; cat data/kept; exit $status'
        return harness.run(["unshare", "--mount", "sh", "-ec", OTHER_MACHINE, "sh", self.dir,
                            "sh", "-c", report, self.dir, *argv])

    def test_every_file_system_of_the_machine_is_covered(self):
        script = 'cd "$1"; for f in home/me/deep data/kept disk/file; do cat $f; echo x > $f; echo y > $f.new; cat $f; done'
        done = self.on_other_machine(script, disk=True)
        self.assertEqual(done.status, 0, f"all file systems must be readable and writable: {done}")
        lines = done.out.split("\n")
        self.assertEqual(lines[:6], ["deep", "x", "before", "x", "disk", "x"], str(done))
        self.assertEqual(lines[6:], ["data/kept", "disk/file", "home/me/deep", "before", ""],
                         f"nothing may be written to another disk, bind mount or tmpfs: {done}")

    def test_every_file_system_is_covered_for_an_ordinary_user(self):
        script = 'cd "$1"; for f in home/me/deep data/kept; do cat $f; done; echo y > data/new; echo y > /new; ls data /new; exit 4'
        done = self.on_other_machine(script, user=harness.NOBODY)
        self.assertIn("deep\nbefore\n", done.out,
                      f"an ordinary user must see other file systems, too: {done}")
        self.assertTrue(done.out.endswith("\ndata/kept\nhome/me/deep\nbefore\n"), f"nothing may be written: {done}")

    def test_proc_dev_tmp_and_run_are_fresh(self):
        outside = [f"/tmp/{self.name}", f"/run/{self.name}", f"/dev/shm/{self.name}"]
        for path in outside:
            with open(path, "w", encoding="utf-8") as file:
                file.write("host\n")
            self.addCleanup(os.remove, path)
        done = self.caisson("run", "-w", "/", "--", "sh", "-c",
                            f"ls -d {' '.join(outside)} 2>/dev/null; ls -A /tmp; ls /proc | grep -c '^[0-9]'; "
                            "ls /dev; for d in /tmp /run /dev/shm; do echo x > $d/new && rm $d/new || echo not $d; done; "
                            "echo x > /dev/null; test -c /dev/zero; test -e /dev/ptmx; readlink /proc/self")
        self.assertNotIn(self.name, done.out, f"/tmp, /run and /dev/shm of the machine must not be seen: {done}")
        self.assertNotIn("not /", done.out, str(done))
        devices = done.out.split()
        for name in ("null", "zero", "full", "random", "urandom", "tty", "pts", "shm", "ptmx", "fd", "stdin"):
            self.assertIn(name, devices, f"/dev must have the usual devices: {done}")
        for name in ("vda", "sda", "kmsg", "mem"):
            self.assertNotIn(name, devices, "no device of the machine may be in /dev")

    def test_disks_of_the_machine_can_not_be_made_as_devices(self):
        done = self.run_command("sh", "-c", f"mknod /{self.name} b 254 0 2>/dev/null && dd if=/{self.name} of=/dev/null count=1")
        self.assertNotEqual(done.status, 0, f"a disk of the machine was read: {done}")

    def test_the_current_directory_below_tmp_keeps_its_files_and_is_not_written(self):
        folder = f"/tmp/{self.name}/sub folder"
        os.makedirs(folder)
        self.addCleanup(os.rmdir, f"/tmp/{self.name}")
        self.addCleanup(os.rmdir, folder)
        with open(os.path.join(folder, "file"), "w", encoding="utf-8") as file:
            file.write("mine\n")
        self.addCleanup(os.remove, os.path.join(folder, "file"))
        done = self.run_command("sh", "-c", "pwd; cat file; echo new > new; echo changed > file; cat file new",
                                cwd=folder)
        self.assertEqual(done.out, f"{folder}\nmine\nchanged\nnew\n",
                         f"a current directory below /tmp must be there, with its files: {done}")
        self.assertEqual(os.listdir(folder), ["file"], "the view wrote to the machine")
        with open(os.path.join(folder, "file"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "mine\n")

    def test_a_deleted_current_directory_is_a_clear_error(self):
        folder = os.path.join(self.dir, "gone")
        os.mkdir(folder)
        program = ("import os, sys; os.chdir(sys.argv[1]); os.rmdir(sys.argv[1]); "
                   "os.execv(sys.argv[2], sys.argv[2:])")
        done = harness.run([sys.executable, "-c", program, folder, harness.CAISSON, "--root", self.state,
                            "run", "--", "true"])
        self.assert_status(done, 125)
        self.assertIn("current directory", done.err)
        self.assertIn("cure:", done.err)
        self.assertLessEqual(done.err.count("\n"), 3, done.err)

    def test_a_large_tree_costs_nothing(self):
        # A thousand files of 1 MiB that were never written: a copy would take a gigabyte of memory.
        folder = os.path.join(self.dir, "large")
        os.mkdir(folder)
        for number in range(1000):
            with open(os.path.join(folder, str(number)), "wb") as file:
                file.truncate(1 << 20)
        before = os.statvfs("/").f_bavail
        done = self.run_command("sh", "-c", f"ls {folder} | wc -l; rm -rf {folder}; ls {folder} 2>&1 | wc -l",
                                cwd=self.dir)
        self.assertEqual(done.out, "1000\n1\n", str(done))
        self.assertEqual(len(os.listdir(folder)), 1000, "files of the machine were removed")
        self.assertLess(abs(before - os.statvfs("/").f_bavail), (1 << 28) // os.statvfs("/").f_frsize)

    def test_links_modes_owners_and_times_are_the_machine_s(self):
        path = self.file("file", "x\n")
        os.chmod(path, 0o4751)
        os.utime(path, (1000000000, 1000000000))
        os.symlink("file", os.path.join(self.dir, "link"))
        os.link(path, os.path.join(self.dir, "hard"))
        command = ["stat", "-c", "%n %a %u %g %s %Y %F", path, os.path.join(self.dir, "link")]
        self.assertEqual(self.run_command(*command).out, harness.run(command).out)

    def test_renames_and_deletions_work_as_on_the_machine(self):
        os.makedirs(os.path.join(self.dir, "tree/a/b"))
        self.file("tree/a/b/file", "deep\n")
        done = self.run_command("sh", "-ec", "mv tree moved; cat moved/a/b/file; rm -r moved/a; ls -A moved; "
                                "test ! -e tree; mkdir tree; ls -A tree", cwd=self.dir)
        self.assertEqual((done.status, done.out), (0, "deep\n"), str(done))
        self.assertTrue(os.path.exists(os.path.join(self.dir, "tree/a/b/file")))

    def test_sockets_of_the_machine_s_daemons_are_not_reached(self):
        path = f"/run/{self.name}.socket"
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
        server.listen()
        self.addCleanup(os.remove, path)
        self.addCleanup(server.close)
        abstract = socket.socket(socket.AF_UNIX)
        abstract.bind(f"\0{self.name}")
        abstract.listen()
        self.addCleanup(abstract.close)
        program = ("import socket, sys\nfor name in sys.argv[1], '\\0' + sys.argv[2]:\n"
                   " try: socket.socket(socket.AF_UNIX).connect(name); print('reached')\n"
                   " except OSError as error: print(type(error).__name__)\n")
        done = self.run_command(sys.executable, "-c", program, path, self.name, cwd="/")
        self.assertEqual(done.out, "FileNotFoundError\nConnectionRefusedError\n", str(done))

    # Views in views.

    def nested(self, *options, inner=(), user=None):
        argv = ["run", "-q", "-w", "/", *options, "--"]
        inner = ["--root", "/tmp/inner", "run", "-q", *inner, "--", "sh", "-c", "echo inner; exit 9"]
        # The program is copied to where the view shows it: it may have been built below /tmp.
        if user is None:
            return self.caisson(*argv, shutil.copy(harness.CAISSON, self.dir), *inner)
        program, _ = self.as_user([harness.CAISSON], user)
        return self.caisson(*argv, program[-1], *inner, user=user)

    def test_a_view_in_a_view(self):
        done = self.nested("--cap-add", "ALL", "--seccomp", "unconfined", "-v", "/sys/fs/cgroup")
        self.assertEqual((done.status, done.out), (9, "inner\n"), str(done))

    def test_a_view_in_a_view_of_an_ordinary_user(self):
        done = self.nested("-u", "root", "--cap-add", "ALL", "--seccomp", "unconfined", user=harness.NOBODY)
        self.assertEqual((done.status, done.out), (9, "inner\n"), str(done))

    def test_a_view_in_a_view_that_may_not_is_told_what_it_takes(self):
        done = self.nested()
        self.assertEqual((done.status, done.out), (125, ""))
        self.assertRegex(done.err, r'^caisson: clone: clone3: [\w ]+\n  cure: in a container, start the outer one '
                                   r'with "--cap-add ALL --seccomp unconfined"; elsewhere "caisson doctor" says what is missing\n$')
        done = self.nested("--cap-add", "ALL", "--seccomp", "unconfined")
        self.assertEqual((done.status, done.out), (125, ""))
        self.assertIn("-v /sys/fs/cgroup", done.err)


if __name__ == "__main__":
    harness.main()
