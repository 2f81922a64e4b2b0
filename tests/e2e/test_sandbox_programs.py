# ctest: RELEASE_ONLY
# ctest: TIMEOUT 300
"""Programs that lean on rare parts of a kernel, in a sandbox and on each platform: debuggers, databases, multiplexers."""

import os
import shutil
import unittest

import harness

PLATFORMS = ("systrap", "ptrace")

DEBUGGED = """
#include <pthread.h>
#include <stdio.h>
int global = 7;
int add(int a, int b) { int sum = a + b; global = sum; return sum; }
static void* thread(void* unused) { (void)unused; return (void*)(long)add(3, 4); }
int main(void) {
  pthread_t made; void* sum;
  pthread_create(&made, 0, thread, 0);
  pthread_join(made, &sum);
  printf("sums %d %ld\\n", add(1, 2), (long)sum);
  return 5;
}
"""

POSTGRES = """
mkdir -p /tmp/pg && chown nobody /tmp/pg && cat > /tmp/run <<'EOF'
set -e
export HOME=/tmp/pg LC_ALL=C
initdb -D /tmp/pg/data -A trust --no-sync > /tmp/pg/init || { tail -5 /tmp/pg/init; exit 9; }
pg_ctl -D /tmp/pg/data -o "-k /tmp/pg -c shared_memory_type=sysv -c listen_addresses=''" -l /tmp/pg/log -w start > /dev/null
psql -h /tmp/pg -d postgres -tAqc "select sum(n) from generate_series(1, 1000) n"
tail -n +2 /proc/sysvipc/shm | wc -l
pg_ctl -D /tmp/pg/data -m fast -w stop > /dev/null
tail -n +2 /proc/sysvipc/shm | wc -l
EOF
exec setpriv --reuid nobody --regid nogroup --clear-groups sh /tmp/run
"""

WATCH = """
const fs = require("fs");
fs.watch("/tmp", (event, name) => { console.log(event, name); process.exit(0); });
setTimeout(() => fs.writeFileSync("/tmp/made", "x"), 50);
"""

PACKAGE = """
mkdir -p /tmp/p/DEBIAN /tmp/p/opt/caisson-test && echo inside > /tmp/p/opt/caisson-test/file
printf 'Package: caisson-test\\nVersion: 1\\nArchitecture: all\\nMaintainer: n <n@n>\\nDescription: d\\n' > /tmp/p/DEBIAN/control
dpkg-deb -b /tmp/p /tmp/x.deb > /dev/null && dpkg -i /tmp/x.deb > /dev/null 2>&1 && cat /opt/caisson-test/file
dpkg -r caisson-test > /dev/null 2>&1; test ! -e /opt/caisson-test && echo removed
"""

JAVA = """
public class H {
  public static void main(String[] arguments) throws Exception {
    Thread thread = new Thread(() -> System.out.println("in a thread"));
    thread.start();
    thread.join();
  }
}
"""


def needs(*programs):
    missing = [program for program in programs if not shutil.which(program)]
    return unittest.skipIf(missing, f"needs {', '.join(missing)}")


class Programs(harness.TestCase):
    def on_each(self, *arguments):
        for platform in PLATFORMS:
            with self.subTest(platform=platform):
                yield self.caisson("run", "--wall", "sandbox", "--platform", platform, "--", *arguments)

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    @needs("strace")
    def test_strace_follows_children(self):
        for done in self.on_each("strace", "-f", "-o", "/dev/stdout", "sh", "-c", "sh -c 'exit 3'; true"):
            self.assert_ok(done)
            self.assertIn("execve(", done.out)
            self.assertIn("+++ exited with 3 +++", done.out)
            self.assertIn("--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED", done.out)

    @needs("strace")
    def test_strace_attaches(self):
        script = "sleep 0.6 & strace -e trace=none -o /tmp/log -p $! 2>&1; wait $!; echo $?; tail -1 /tmp/log"
        for done in self.on_each("sh", "-c", script):
            self.assertIn("attached", done.out, str(done))
            self.assertIn("+++ exited with 0 +++", done.out)

    @needs("gdb", "gcc")
    def test_gdb_stops_in_a_thread(self):
        program = os.path.join(self.dir, "debugged")
        harness.run(["gcc", "-g", "-O0", "-o", program, self.write("debugged.c", DEBUGGED), "-lpthread"])
        commands = ("break add", "run", "bt 2", "finish", "print global + 1", "info threads", "delete", "stepi", "continue")
        words = [word for command in commands for word in ("-ex", command)]
        for done in self.on_each("gdb", "-q", "-batch", "-iex", "set debuginfod enabled off", *words, program):
            for expected in ("add (a=3, b=4)", "Value returned is $1 = 7", "$2 = 8", "sums 3 7", "exited with code 05"):
                self.assertIn(expected, done.out, str(done))

    @needs("initdb", "pg_ctl", "psql", "setpriv")
    def test_postgres_in_shared_memory(self):
        for done in self.on_each("sh", "-c", POSTGRES):
            self.assertEqual(done.out.split(), ["500500", "1", "0"], str(done))

    @needs("node")
    def test_node_watches_a_directory(self):
        for done in self.on_each("node", "-e", WATCH):
            self.assertEqual(done.out, "rename made\n", str(done))

    @needs("java")
    def test_java_from_source(self):
        for done in self.on_each("java", self.write("H.java", JAVA)):
            if "jdk.compiler" in done.err:
                self.skipTest("needs java's compiler")
            self.assertEqual(done.out, "in a thread\n", str(done))

    @needs("tmux")
    def test_tmux_keeps_a_session(self):
        script = ("tmux -f /dev/null new-session -d -s one 'tty > /tmp/seen; sleep 5'; "
                  "while ! grep -q pts /tmp/seen 2> /dev/null; do sleep 0.05; done; "
                  "tmux ls | cut -d: -f1; cut -c1-9 /tmp/seen; tmux kill-server")
        for done in self.on_each("sh", "-c", script):
            self.assertEqual(done.out.split(), ["one", "/dev/pts/"], str(done))

    @needs("dpkg", "dpkg-deb")
    def test_dpkg_installs_and_removes(self):
        for done in self.on_each("sh", "-c", PACKAGE):
            self.assertEqual(done.out.split(), ["inside", "removed"], str(done))

    @needs("sqlite3", "perl", "openssl", "ssh-keygen")
    def test_files_and_keys(self):
        script = ("sqlite3 /tmp/db 'create table t(a); insert into t values (40), (2); select sum(a) from t'; "
                  "perl -e 'if (my $p = fork) { print wait() == $p, qq(\\n) }'; printf x | openssl dgst -sha256 -r | cut -c1-8; "
                  "ssh-keygen -q -t ed25519 -N '' -f /tmp/k && ssh-keygen -lf /tmp/k.pub | cut -c1-10")
        for done in self.on_each("sh", "-c", script):
            self.assertEqual(done.out.split(), ["42", "1", "2d711642", "256", "SHA256"], str(done))

    @needs("ps", "top", "awk")
    def test_tools_that_read_proc(self):
        script = ("ps -o rss= -p $$ | awk '{ print ($1 > 100 && $1 < 20000) }'; top -b -n1 | grep -c ' sh$'")
        for done in self.on_each("sh", "-c", script):
            self.assertEqual(done.out.split(), ["1", "1"], str(done))


if __name__ == "__main__":
    harness.main()
