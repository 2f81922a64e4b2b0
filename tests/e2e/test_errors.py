"""Every refusal says what failed, on what, why, and what to do about it, and leaves nothing."""

import json
import os
import shutil
import subprocess

import harness

EM_AARCH64, EM_X86_64 = 0xB7, 0x3E


class Errors(harness.TestCase):
    def program(self, name, content, mode=0o755):
        path = os.path.join(self.dir, name)
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, mode)
        return path

    def refused(self, done, status, text):
        """`text` is all of stderr; nothing is on stdout and nothing is left."""
        self.assertEqual((done.status, done.err, done.out), (status, text, ""), str(done))
        self.assert_no_leaks()

    def run_in_dir(self, *words, **options):
        return self.caisson("run", *words, cwd=self.dir, **options)

    # The program.

    def test_a_missing_command(self):
        self.refused(self.run_in_dir("--", "no-such-cmd"), 127,
                     'caisson: exec: "no-such-cmd": executable file not found in $PATH\n'
                     "  cure: install it, correct the name, or give its path; PATH is the container's own\n")

    def test_a_missing_path(self):
        self.refused(self.run_in_dir("--", "./no-such"), 127,
                     'caisson: exec: "./no-such": stat ./no-such: no such file or directory\n'
                     "  cure: the path is looked up inside the container's root file system\n")

    def test_a_program_for_another_machine(self):
        with open(shutil.which("true"), "rb") as file:
            elf = bytearray(file.read())
        elf[18] = EM_X86_64 if elf[18] == EM_AARCH64 else EM_AARCH64
        other = "x86_64" if elf[18] == EM_X86_64 else "aarch64"
        self.program("foreign", bytes(elf))
        self.refused(self.run_in_dir("--", "./foreign"), 126,
                     f'caisson: exec: "./foreign": exec format error: built for {other}, not this machine\n'
                     "  cure: use an image for this machine's architecture, or register an emulator (binfmt_misc)\n")

    def test_a_script_with_windows_line_ends(self):
        self.program("crlf", b"#!/bin/sh\r\necho hi\r\n")
        self.refused(self.run_in_dir("--", "./crlf"), 126,
                     'caisson: exec: "./crlf": no such file or directory: its first line ends in CR LF, so the '
                     'interpreter is "/bin/sh\\r"\n'
                     "  cure: convert the script to Unix line ends (sed -i 's/\\r$//')\n")

    def test_a_script_without_its_interpreter(self):
        self.program("script", b"#!/no/such/interpreter\n")
        self.refused(self.run_in_dir("--", "./script"), 126,
                     'caisson: exec: "./script": no such file or directory: its interpreter "/no/such/interpreter" is missing\n'
                     "  cure: install the interpreter (or the C library's loader) in the root file system\n")

    def test_a_text_file_and_an_empty_one(self):
        self.program("text", b"echo hi\n")
        self.refused(self.run_in_dir("--", "./text"), 126,
                     'caisson: exec: "./text": exec format error: neither an ELF file nor a script\n'
                     "  cure: start scripts with #! and their interpreter, as in #!/bin/sh\n")
        self.program("empty", b"")
        self.refused(self.run_in_dir("--", "./empty"), 126,
                     'caisson: exec: "./empty": exec format error: the file is empty\n  cure: put a program there\n')

    def test_a_directory_and_a_file_without_execute_bit(self):
        self.refused(self.run_in_dir("--", "/usr"), 126,
                     'caisson: exec: "/usr": is a directory: permission denied\n  cure: name a program, not a directory\n')
        self.program("plain", b"#!/bin/sh\n", 0o644)
        self.refused(self.run_in_dir("--", "./plain"), 126,
                     'caisson: exec: "./plain": permission denied\n'
                     "  cure: set its execute bit (chmod +x), and check that the user may search its directories\n")

    def test_a_program_of_a_root_without_its_loader(self):
        rootfs = self.busybox_rootfs()
        shutil.copy(shutil.which("true"), os.path.join(rootfs, "bin/dynamic"))
        done = self.run_in_dir("--rootfs", rootfs, "--", "/bin/dynamic")
        self.assert_status(done, 126)
        self.assertRegex(done.err, r'^caisson: exec: "/bin/dynamic": no such file or directory: its (interpreter|loader) "/lib.*ld-.*" is missing\n'
                                   r"  cure: install the interpreter \(or the C library's loader\) in the root file system\n$")

    # The options' objects.

    def test_a_missing_rootfs(self):
        self.refused(self.run_in_dir("--rootfs", "./nope", "--", "true"), 125,
                     "caisson: open the root file system ./nope: No such file or directory\n  cure: correct the path\n")
        self.program("file", b"")
        self.refused(self.run_in_dir("--rootfs", "./file", "--", "true"), 125,
                     "caisson: open the root file system ./file: Not a directory\n  cure: correct the path\n")

    def test_a_missing_mount_source(self):
        self.refused(self.run_in_dir("-v", "/no/such:/x", "--", "true"), 125,
                     "caisson: mount /no/such on /x: --volume /no/such:/x: No such file or directory\n"
                     "  cure: make /no/such, or correct the path\n")

    def test_a_working_directory_that_is_a_file(self):
        path = self.program("file", b"")
        self.refused(self.run_in_dir("-w", "./file", "--", "true"), 125,
                     f"caisson: working-directory: {path}: Not a directory\n"
                     "  cure: process.cwd must be a directory inside the root file system\n")

    def test_a_name_that_is_taken(self):
        self.assert_ok(self.run_in_dir("-d", "--name", self.name, "--", "sleep", "1000"))
        self.addCleanup(self.caisson, "rm", "-f", self.name)
        for mode in ([], ["-d"]):
            done = self.run_in_dir(*mode, "--name", self.name, "--", "true")
            self.assertEqual((done.status, done.err), (125, f'caisson: check-id: container "{self.name}": container with given ID already exists\n'
                                                            "  cure: choose another id, or remove that container first\n"))
        self.assertIn("running", self.caisson("ps").out, "the container of that name must live on")

    def test_no_container_of_that_name(self):
        for words in (("stop",), ("kill",), ("logs",), ("inspect",), ("why",), ("rm",), ("diff",), ("top",), ("wait",), ("pause",)):
            with self.subTest(words[0]):
                self.refused(self.caisson(*words, "nobody"), 1,
                             'caisson: container "nobody": container does not exist\n  cure: "caisson ps --all" lists those that exist\n')
        self.assertEqual(self.caisson("exec", "nobody", "true").status, 125)

    # Configurations.

    def explain(self, text):
        bundle = os.path.join(self.dir, "bundle")
        os.makedirs(bundle, exist_ok=True)
        with open(os.path.join(bundle, "config.json"), "w", encoding="utf-8") as file:
            file.write(text)
        return self.caisson("explain", "--bundle", bundle)

    def test_bad_json_is_told_by_line_and_column(self):
        self.refused(self.explain('{"ociVersion": "1.0.2", '), 1,
                     "caisson: config.json:1:25: ociVersion: expected a key in double quotes, found the end\n"
                     '  cure: correct it, and try "caisson explain --bundle DIR"\n')

    def test_a_field_of_the_wrong_type_is_told_by_name(self):
        self.refused(self.explain('{"ociVersion": "1.0.2", "process": {"args": "x", "cwd":"/"}, "root":{"path":"rootfs"}}'), 1,
                     'caisson: config.json:1:45: process.args: expected an array, found the string "x"\n'
                     '  cure: correct it, and try "caisson explain --bundle DIR"\n')

    # The machine.

    def test_a_full_disk(self):
        if os.getuid() != 0:
            self.skipTest("needs root to mount a small file system")
        small = os.path.join(self.dir, "small")
        os.mkdir(small)
        for options in ("size=4k", "size=64k,nr_inodes=2"):
            for mode in ([], ["-d"]):
                with self.subTest(options, mode=mode):
                    script = f'mount -t tmpfs -o {options} tmpfs {small} && "$@"; status=$?; find {small} -mindepth 2 -not -path "*/@failed*" | sed "s/^/left: /" >&2; exit $status'
                    done = harness.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", harness.CAISSON,
                                        "--root", f"{small}/state", "run", *mode, "--name", self.name, "--", "true"])
                    self.refused(done, 125, f"caisson: claim: make the journal {small}/state/{self.name}: No space left on device\n"
                                            "  cure: free space or inodes there, or keep the state elsewhere with --root\n")

    def test_few_open_files_at_every_limit(self):
        # A sanitized program needs one for its libraries.
        for limit in range(4 if harness.SANITIZED else 3, 40):
            with self.subTest(limit):
                done = harness.run(["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", harness.CAISSON, "--root", self.state,
                                    "run", "--", "sh", "-c", "exit 7"])
                self.assert_no_leaks()
                if done.status == 7:
                    break
                if harness.SANITIZED and "error while loading shared libraries" in done.err:
                    continue  # the sanitizer's library could not be opened, caisson has not begun
                self.assertEqual(done.status, 125, f"a lack of descriptors must be an error of caisson: {done}")
                self.assertIn("Too many open files", done.err)
                self.assertTrue(done.err.endswith("  cure: raise the limit of open files: ulimit -n 1024\n"), str(done))
                self.assertEqual(done.err.count("\n"), 2, str(done))
        else:
            self.fail("a start must need fewer than 40 descriptors")

    def test_a_state_folder_that_can_not_be_made(self):
        self.refused(self.caisson("--root", "/proc/caisson", "run", "--", "true"), 125,
                     "caisson: make the state directory /proc/caisson: No such file or directory\n  cure: correct the path\n")

    def test_no_permission_for_the_state_folder(self):
        os.mkdir(self.state, 0o700)
        argv, env = self.as_user([harness.CAISSON, "run", "-q", f"--name={self.name}", "--", "true"])
        done = harness.run([*argv[:-5], "--root", self.state, *argv[-5:]], env=env)
        self.refused(done, 125, f"caisson: claim: make the journal {self.state}/{self.name}: Permission denied\n"
                                '  cure: "caisson doctor" says what this user may do here; --root says where state is kept\n')

    def test_limits_where_cgroups_can_not_be_written(self):
        done = self.caisson("run", "-q", "-w", "/", "--memory", "64m", "--", "true", user=harness.NOBODY)
        self.refused(done, 125, "caisson: plan: --memory: there is no cgroup controller memory for this user\n"
                                "  cure: Leave the limit out, or have the controller delegated (systemd: Delegate=memory for user@.service).\n")

    # The form.

    def test_json_errors_are_one_line_with_all_parts(self):
        done = self.caisson("--log-format", "json", "run", "-v", "/no/such:/x", "--", "true")
        self.assert_status(done, 125)
        self.assertEqual(done.err.count("\n"), 1, "one JSON line")
        error = json.loads(done.err)
        error.pop("time")
        self.assertEqual(error, {"level": "error", "msg": "mount /no/such on /x: --volume /no/such:/x: No such file or directory",
                                 "code": "mount.source", "object": "mount /no/such on /x", "where": "--volume /no/such:/x",
                                 "cause": "No such file or directory", "errno": "ENOENT", "cure": "make /no/such, or correct the path"})
        error = json.loads(self.caisson("--log-format=json", "run", "--", "no-such-cmd").err)
        self.assertEqual((error["code"], error["step"], error["errno"]), ("exec.missing", "exec", "ENOENT"))

    def test_errors_go_to_a_log_too(self):
        log = os.path.join(self.dir, "log")
        for _ in range(2):
            done = self.caisson("--log", log, "run", "--", "no-such-cmd")
            self.assertIn("no-such-cmd", done.err)
        with open(log, encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.assertEqual(len(lines), 2)
        self.assertRegex(lines[0], r'^time="[^"]+" level=error msg="exec: \\"no-such-cmd\\": executable file not found in \$PATH"$')

    def test_wrong_words_are_told_by_the_command(self):
        for words, status, text in (
                (("ps", "extra"), 1, 'caisson ps: unexpected argument "extra"\n  cure: see "caisson ps --help"\n'),
                (("exec",), 125, "caisson exec: too few arguments, expected: caisson exec [options] NAME [--] COMMAND [ARGUMENT...]\n"
                                 '  cure: see "caisson exec --help"\n'),
                (("kill", "-s", "FOO", "x"), 1, 'caisson: unknown signal "FOO"\n  cure: use a name (TERM, SIGTERM, RTMIN+3) or a number up to 64\n'),
                (("run", "--name"), 125, 'caisson run: --name needs a value: NAME\n  cure: see "caisson run --help"\n'),
                (("run", "-z"), 125, 'caisson run: unknown option -z\n  cure: see "caisson run --help"\n'),
                (("run", "--"), 125, "caisson run: no command to run\n  cure: say what to run: caisson run -- ls -l\n"),
                (("--log-format", "xml", "ps"), 1, 'caisson: unknown log format "xml"\n  cure: use --log-format text or --log-format json\n')):
            with self.subTest(words):
                self.refused(self.caisson(*words), status, text)

    def test_a_failed_start_is_told_by_why(self):
        self.assert_status(self.caisson("run", "--name", self.name, "--", "no-such-cmd"), 127)
        done = self.caisson("why", self.name)
        self.assert_ok(done)
        self.assertIn("no-such-cmd", done.out, f"why must know the last failed start: {done}")
        self.assertIn("cure:", done.out)


if __name__ == "__main__":
    harness.main()
