"""`caisson run`: what goes in and out, how it ends, and that nothing stays behind."""

import os
import signal
import subprocess
import sys
import threading

import harness

TEN_MEGABYTES = 10 << 20


class RunIo(harness.TestCase):
    def run_command(self, *command, **options):
        return self.caisson("run", "--", *command, **options)

    def argv(self, *command):
        return [harness.CAISSON, "--root", self.state, "run", "--", *command]

    def test_ten_megabytes_through_a_pipe_arrive_intact(self):
        data = os.urandom(TEN_MEGABYTES)
        done = subprocess.run(self.argv("cat"), input=data, capture_output=True, timeout=harness.TIMEOUT, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertTrue(done.stdout == data, "binary data through stdin and stdout must come out as it went in")

    def test_every_line_of_many_writers_to_an_appended_file_is_kept(self):
        path = os.path.join(self.dir, "out")
        with open(path, "w", encoding="utf-8") as file:
            file.write("first\n")
        with open(path, "ab") as file:
            script = "for i in $(seq 500); do echo out $i; echo err $i >&2; done"
            done = subprocess.run(self.argv("sh", "-c", script), stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                  timeout=harness.TIMEOUT, check=False)
        self.assertEqual(done.returncode, 0)
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        wanted = ["first"] + [f"{kind} {i}" for i in range(1, 501) for kind in ("out", "err")]
        self.assertEqual(lines, wanted)

    def test_an_output_file_ends_up_at_the_offset_the_program_left(self):
        path = os.path.join(self.dir, "out")
        with open(path, "wb") as file:
            for word in ("one", "two"):
                subprocess.run(self.argv("echo", word), stdin=subprocess.DEVNULL, stdout=file, check=True,
                               timeout=harness.TIMEOUT)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), "one\ntwo\n", "the descriptor itself must be handed over")

    def test_closed_standard_descriptors_are_no_obstacle(self):
        for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            with self.subTest(closed):
                done = harness.run(["sh", "-c", f'"$@" {closed}', "sh", *self.argv("sh", "-c", "exit 7")])
                self.assert_status(done, 7)

    def test_a_reader_that_goes_away_ends_the_program_as_on_the_machine(self):
        script = '"$@" | head -n 1'
        done = harness.run(["sh", "-c", script, "sh", *self.argv("sh", "-c", "while echo line; do :; done 2>/dev/null")])
        self.assertEqual(done.out, "line\n", str(done))

    def test_no_descriptor_of_the_caller_but_the_standard_ones_gets_in(self):
        with open("/etc/passwd", "rb") as secret:
            done = subprocess.run(self.argv("ls", "/proc/self/fd"), stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, pass_fds=(secret.fileno(),), timeout=harness.TIMEOUT, check=True)
        # The fourth is the directory that ls reads.
        self.assertEqual(done.stdout.split(), ["0", "1", "2", "3"])

    def test_a_big_command_line_and_environment(self):
        words = [f"{i:0100d}" for i in range(5000)]
        environment = {**os.environ, **{f"BIG_{i}": "x" * 1000 for i in range(300)}}
        script = "import os, sys; print(len(sys.argv), sum(len(v) for k, v in os.environ.items() if k.startswith('BIG_')))"
        done = self.run_command(sys.executable, "-c", script, *words, env=environment)
        self.assertEqual(done.out, f"{len(words) + 1} 300000\n", done.err)

    def test_the_environment_is_the_caller_s(self):
        done = self.run_command("sh", "-c", "echo $CT_ONE:$container", env={"CT_ONE": "a b=c"})
        self.assertEqual(done.out, "a b=c:caisson\n", str(done))

    # Signals.

    def child_runs(self, pid, program):
        for child in harness.run(["pgrep", "-P", str(pid)]).out.split():
            try:
                with open(f"/proc/{child}/comm", encoding="utf-8") as file:
                    return file.read() == program + "\n"
            except OSError:
                pass
        return False

    def test_every_common_signal_is_passed_on(self):
        script = ("import signal, sys, time\n"
                  "def told(number, frame): print(signal.Signals(number).name, flush=True); sys.exit(50 + number)\n"
                  "for name in sys.argv[1:]: signal.signal(getattr(signal, name), told)\n"
                  "print('ready', flush=True)\nwhile True: time.sleep(0.05)\n")
        for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT"):
            with self.subTest(name):
                number = getattr(signal, name)
                process = self.caisson_in_background("run", "--", sys.executable, "-c", script, name)
                self.assertEqual(process.stdout.readline(), "ready\n")
                process.send_signal(number)
                self.assertEqual(process.wait(harness.TIMEOUT), 50 + number, f"{name} must reach the program")
                self.assertEqual(process.stdout.read(), name + "\n")

    def test_a_signal_that_the_program_does_not_handle_ends_it(self):
        # As the first process of its pid namespace it would not get them from the kernel.
        for name in ("SIGTERM", "SIGINT", "SIGHUP"):
            with self.subTest(name):
                number = getattr(signal, name)
                process = self.caisson_in_background("run", "--", "sleep", "1000")
                harness.wait_until(lambda: self.child_runs(process.pid, "sleep"), "sleep runs")
                process.send_signal(number)
                self.assertEqual(process.wait(harness.TIMEOUT), 128 + number,
                                 f"{name} to caisson must end a program that does not handle it")

    def test_a_signal_that_the_program_ignores_is_ignored(self):
        script = 'trap "" TERM; echo ready; sleep 0.5; exit 6'
        process = self.caisson_in_background("run", "--", "sh", "-c", script)
        self.assertEqual(process.stdout.readline(), "ready\n")
        process.terminate()
        self.assertEqual(process.wait(harness.TIMEOUT), 6)

    def test_signals_in_the_first_moments_are_not_lost(self):
        for delay in (0.0, 0.005, 0.01, 0.02, 0.04):
            with self.subTest(delay):
                process = self.caisson_in_background("run", "--", "sleep", "1000")
                threading.Event().wait(delay)
                process.terminate()
                self.assertIn(harness.shell_status(process.wait(harness.TIMEOUT)), (143,))

    def test_zombies_of_a_shell_are_collected(self):
        # Orphans end as children of the container's first process.
        script = ("for i in 1 2 3 4 5; do (sleep 0.01 & ) ; done; sleep 0.3; "
                  "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l")
        done = self.run_command("sh", "-c", script)
        self.assertEqual(done.out, "0\n", f"no zombies of ended orphans: {done}")

    # Nothing left.

    def test_fifty_starts_in_a_row_leave_nothing(self):
        for _ in range(50):
            self.assert_ok(self.run_command("true"))
        self.assert_no_leaks()

    def test_eight_at_once_leave_nothing(self):
        for _ in range(2):
            processes = [self.caisson_in_background("run", "--", "sh", "-c", f"echo {i}; exit {i}") for i in range(8)]
            for i, process in enumerate(processes):
                out, err = process.communicate(timeout=harness.TIMEOUT)
                self.assertEqual((process.returncode, out, err), (i, f"{i}\n", ""))
            self.assert_no_leaks()

    def test_failures_leave_nothing(self):
        for words in (["--", "no-such-command"], ["-v", "/no-such:/x", "--", "true"], ["--rootfs", "/no-such", "true"],
                      ["-w", "/proc/no-such", "--", "true"], ["--memory", "1", "--", "true"]):
            with self.subTest(words):
                self.assertNotEqual(self.caisson("run", *words).status, 0)
                self.assert_no_leaks()


if __name__ == "__main__":
    harness.main()
