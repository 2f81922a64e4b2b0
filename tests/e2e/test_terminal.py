"""`-t`: a real terminal, driven through a pty as a person would."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import harness


class Terminal:
    """A person at a terminal of `rows` times `columns` who started a program there."""

    def __init__(self, argv, rows=24, columns=80, env=None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            environment = {**os.environ, "PS1": "ready> ", "TERM": "xterm", **(env or {})}
            try:
                os.execvpe(argv[0], argv, environment)
            finally:
                os._exit(99)
        self.screen = ""
        self.status = None

    def type(self, text):
        os.write(self.fd, text.encode())

    def read(self, seconds):
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return None
        self.screen += data.decode(errors="replace")
        return bool(data)

    def wait_for(self, text, timeout=None):
        """Reads until `text` (a regular expression) is on the screen; takes everything up to it away."""
        deadline = time.monotonic() + (timeout or harness.TIMEOUT)
        while True:
            found = re.search(text, self.screen)
            if found:
                self.screen = self.screen[found.end():]
                return found
            if time.monotonic() > deadline or self.read(0.05) is None:
                raise AssertionError(f"{text!r} never came; on the screen: {self.screen!r}")

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def mode(self):
        return termios.tcgetattr(self.fd)

    def ends_within(self, seconds):
        """Whether the program ends so soon."""
        deadline = time.monotonic() + seconds
        while self.status is None and time.monotonic() < deadline:
            self.read(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = harness.shell_status(os.waitstatus_to_exitcode(status))
        return self.status is not None

    def end(self):
        """Waits for the program's end; returns its status as a shell sees it."""
        if not self.ends_within(harness.TIMEOUT):
            raise AssertionError(f"the program does not end; on the screen: {self.screen!r}")
        while self.read(0.05):
            pass
        return self.status

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


class TerminalTest(harness.TestCase):
    def at_terminal(self, *arguments, rows=24, columns=80, env=None):
        terminal = Terminal([harness.CAISSON, "--root", self.state, *arguments], rows, columns, env)
        self._background.add(terminal.pid)
        self.addCleanup(self._background.discard, terminal.pid)
        self.addCleanup(terminal.close)
        return terminal

    def bash(self, *options):
        terminal = self.at_terminal("run", "-it", *options, "--", "bash", "--norc", "--noprofile", "-i")
        terminal.wait_for("ready> ")
        return terminal

    def test_a_command_has_a_terminal_and_its_output_is_seen(self):
        terminal = self.at_terminal("run", "-t", "--", "sh", "-c", "tty; test -t 0 -a -t 1 -a -t 2 && echo all three; exit 5")
        terminal.wait_for(r"/dev/(pts/0|console)\r\n")
        terminal.wait_for("all three\r\n")
        self.assertEqual(terminal.end(), 5)

    def test_without_t_a_command_is_at_the_caller_s_terminal_or_none(self):
        terminal = self.at_terminal("run", "--", "sh", "-c", "test -t 1 && echo yes || echo no")
        terminal.wait_for("yes|no")
        self.assertEqual(terminal.end(), 0)

    def test_the_window_size_is_handed_over_and_follows(self):
        terminal = self.at_terminal("run", "-t", "--", "sh", "-c", "stty size; read line; stty size", rows=33, columns=101)
        terminal.wait_for("33 101")
        terminal.resize(44, 121)
        time.sleep(0.2)
        terminal.type("\r")
        terminal.wait_for("44 121")
        self.assertEqual(terminal.end(), 0)

    def test_a_program_hears_of_a_new_window_size(self):
        terminal = self.at_terminal("run", "-t", "--", "bash", "-c", "trap 'stty size; exit 8' WINCH; echo ready; while :; do sleep 0.1; done")
        terminal.wait_for("ready")
        terminal.resize(50, 60)
        terminal.wait_for("50 60")
        self.assertEqual(terminal.end(), 8)

    def test_the_caller_s_terminal_is_raw_meanwhile_and_restored(self):
        terminal = self.at_terminal("run", "-t", "--", "sh", "-c", "echo ready; read line")
        before = termios.ECHO | termios.ICANON | termios.ISIG
        terminal.wait_for("ready")
        self.assertEqual(terminal.mode()[3] & before, 0, "raw mode while the command runs")
        terminal.type("x\r")
        self.assertEqual(terminal.end(), 0)
        self.assertEqual(terminal.mode()[3] & before, before, "the terminal must be as before at the end")

    def test_the_terminal_is_restored_when_the_command_is_killed(self):
        terminal = self.at_terminal("run", "-t", "--", "sh", "-c", "echo ready; kill -9 $$; exec sleep 1000")
        terminal.wait_for("ready")
        terminal.type("\x03")
        self.assertEqual(terminal.end(), 130)
        self.assertNotEqual(terminal.mode()[3] & termios.ECHO, 0)

    def test_ctrl_c_interrupts_a_job_and_not_the_shell(self):
        terminal = self.bash()
        terminal.type("sleep 1000; echo status $?\r")
        time.sleep(0.3)
        terminal.type("\x03")
        terminal.wait_for("ready> ")
        terminal.type("echo alive $((6 * 7))\r")
        terminal.wait_for("alive 42")
        terminal.type("exit 3\r")
        self.assertEqual(terminal.end(), 3)

    def test_ctrl_c_ends_a_program_that_does_not_handle_it(self):
        # No shell is before it, which would have a handler.
        terminal = self.at_terminal("run", "-t", "--", "sed", "-u", "s/call/answer/")
        terminal.type("call\r")
        terminal.wait_for("answer")
        terminal.type("\x03")
        self.assertEqual(terminal.end(), 130, "^C must end a program as it does without a container")

    def test_ctrl_c_ends_a_program_that_is_just_taking_the_place_of_a_shell(self):
        typed_again = 0
        for _ in range(30):
            # The shell catches SIGINT; what comes while it is replaced finds no handler any more.
            terminal = self.at_terminal("run", "-t", "--", "bash", "-c", "echo ready; kill -9 $$; exec sleep 1000")
            terminal.wait_for("ready")
            terminal.type("\x03")
            # What the handler of a shell took note of before the shell was replaced is lost without a container, too.
            if not terminal.ends_within(2):
                typed_again += 1
                terminal.type("\x03")
            self.assertEqual(terminal.end(), 130, "^C must end a program as it does without a container")
        self.assertLessEqual(typed_again, 3)

    def test_ctrl_c_is_a_character_to_a_program_in_raw_mode(self):
        terminal = self.at_terminal("run", "-t", "--", "sh", "-c",
                                    "stty raw -echo; echo ready; dd bs=1 count=1 2>/dev/null | od -An -tx1; stty sane; exit 4")
        terminal.wait_for("ready")
        terminal.type("\x03")
        terminal.wait_for("03")
        self.assertEqual(terminal.end(), 4)

    def test_ctrl_z_stops_a_job_and_fg_continues_it(self):
        terminal = self.bash()
        terminal.type("sleep 1000\r")
        time.sleep(0.3)
        terminal.type("\x1a")
        terminal.wait_for("Stopped")
        terminal.type("jobs\r")
        terminal.wait_for(r"\[1\]\+\s+Stopped\s+sleep 1000")
        terminal.type("fg\r")
        terminal.wait_for("sleep 1000")
        time.sleep(0.3)
        terminal.type("\x03")
        terminal.wait_for("ready> ")
        terminal.type("exit\r")
        terminal.end()

    def test_ctrl_d_is_the_end_of_input(self):
        terminal = self.at_terminal("run", "-t", "--", "cat")
        terminal.type("line\r")
        terminal.wait_for("line\r\nline\r\n")
        terminal.type("\x04")
        self.assertEqual(terminal.end(), 0)

    def test_much_output_arrives_whole(self):
        terminal = self.at_terminal("run", "-t", "--", "seq", "1", "20000")
        self.assertEqual(terminal.end(), 0)
        lines = terminal.screen.split("\r\n")
        self.assertEqual(lines[:20000], [str(i) for i in range(1, 20001)])

    def test_no_command_at_a_terminal_is_a_shell(self):
        terminal = self.at_terminal("run", env={"SHELL": "/bin/sh"})
        terminal.type("echo from $((40 + 2))\r")
        terminal.wait_for("from 42")
        terminal.type("exit 6\r")
        self.assertEqual(terminal.end(), 6)

    def test_exec_has_a_terminal_too(self):
        self.assert_ok(self.caisson("run", "-d", "--name", self.name, "--", "sleep", "1000"))
        self.addCleanup(self.caisson, "rm", "-f", self.name)
        terminal = self.at_terminal("exec", "-it", self.name, "sh", "-c", "stty size; tty; read x; echo got $x; exit 9", rows=20, columns=70)
        terminal.wait_for("20 70")
        terminal.wait_for("/dev/pts/")
        terminal.type("word\r")
        terminal.wait_for("got word")
        self.assertEqual(terminal.end(), 9)

    def test_an_ordinary_user_has_a_terminal_too(self):
        argv, env = self.as_user([harness.CAISSON, "--root", "x", "run", "-qt", "-w", "/", "--", "sh", "-c", "stty size; exit 2"])
        terminal = Terminal(argv, 21, 81, env)
        self._background.add(terminal.pid)
        self.addCleanup(self._background.discard, terminal.pid)
        self.addCleanup(terminal.close)
        terminal.wait_for("21 81")
        self.assertEqual(terminal.end(), 2)

    def test_t_without_a_terminal_is_refused(self):
        done = self.caisson("run", "-t", "--", "true")
        self.assert_status(done, 125)
        self.assertEqual(done.err, "caisson: give the command a terminal: --tty: standard input is no terminal\n"
                                   "  cure: leave -t out, or use -d\n")


if __name__ == "__main__":
    harness.main()
