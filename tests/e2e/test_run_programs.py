"""Real programs in a view of this machine."""

import os
import shutil
import sys

import harness


class RunPrograms(harness.TestCase):
    def shell(self, script, *options, **more):
        return self.caisson("run", *options, "--", "sh", "-ec", script, **more)

    def need(self, program):
        if shutil.which(program) is None:
            self.skipTest(f"{program} is not installed here")

    def test_python_with_threads_and_processes(self):
        script = """
import concurrent.futures, multiprocessing, subprocess, tempfile, threading
def square(x): return x * x
if __name__ == '__main__':
    with concurrent.futures.ThreadPoolExecutor(8) as pool: print(sum(pool.map(square, range(100))))
    with multiprocessing.Pool(2) as pool: print(sum(pool.map(square, range(100))))
    print(subprocess.run(['sh', '-c', 'exit 3']).returncode, subprocess.check_output(['echo', 'hi'], text=True).strip())
    with tempfile.TemporaryDirectory() as folder: print(len(folder) > 0)
    print(multiprocessing.Lock().acquire())
"""
        path = os.path.join(self.dir, "program.py")
        with open(path, "w", encoding="utf-8") as file:
            file.write(script)
        done = self.caisson("run", "--", sys.executable, path)
        self.assertEqual(done.out, "328350\n328350\n3 hi\nTrue\nTrue\n", str(done))

    def test_git_clones_and_commits(self):
        self.need("git")
        done = self.shell("export HOME=/tmp; git init -q one; cd one; git config user.email a@b; git config user.name n; "
                          "echo x > f; git add f; git commit -qm first; cd ..; git clone -q one two; "
                          "cd two; git log --format=%s; git status --short", cwd=self.dir)
        self.assertEqual((done.status, done.out), (0, "first\n"), str(done))
        self.assertNotIn("one", os.listdir(self.dir))

    def test_a_c_project_is_built_and_its_result_taken_out(self):
        self.need("gcc")
        self.need("make")
        source = os.path.join(self.dir, "source")
        os.mkdir(source)
        for name, text in (("main.c", '#include <stdio.h>\nint twice(int);\nint main(void){printf("%d\\n", twice(21));}\n'),
                           ("twice.c", "int twice(int x) { return 2 * x; }\n"),
                           ("Makefile", "main: main.o twice.o\n\t$(CC) -o $@ $^\n")):
            with open(os.path.join(source, name), "w", encoding="utf-8") as file:
                file.write(text)
        out = os.path.join(self.dir, "out")
        os.mkdir(out)
        done = self.shell(f"make -s -j2 CC=gcc && cp main {out}", "-v", out, cwd=source)
        self.assert_ok(done)
        self.assertEqual(sorted(os.listdir(source)), ["Makefile", "main.c", "twice.c"],
                         "a build in a view leaves the real source tree alone")
        self.assertEqual(harness.run([os.path.join(out, "main")]).out, "42\n")

    def test_node(self):
        self.need("node")
        done = self.caisson("run", "--", "node", "-e", "setTimeout(() => console.log(require('os').hostname().length > 0), 10)")
        self.assertEqual((done.status, done.out), (0, "true\n"), str(done))

    def test_a_debian_package_is_installed_in_the_view_alone(self):
        if os.getuid() != 0:
            self.skipTest("needs root to install packages")
        self.need("dpkg-deb")
        package = self.name
        tree = os.path.join(self.dir, "tree")
        os.makedirs(os.path.join(tree, "DEBIAN"))
        os.makedirs(os.path.join(tree, "usr/share", package))
        with open(os.path.join(tree, "usr/share", package, "file"), "w", encoding="utf-8") as file:
            file.write("installed\n")
        with open(os.path.join(tree, "DEBIAN/control"), "w", encoding="utf-8") as file:
            file.write(f"Package: {package}\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\nDescription: x\n")
        with open(os.path.join(tree, "DEBIAN/postinst"), "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\necho configured > /etc/{package}\n")
        os.chmod(os.path.join(tree, "DEBIAN/postinst"), 0o755)
        deb = os.path.join(self.dir, "p.deb")
        self.assert_ok(harness.run(["dpkg-deb", "--build", "--root-owner-group", tree, deb]))
        done = self.shell(f"dpkg -i {deb} > /dev/null; cat /usr/share/{package}/file /etc/{package}; "
                          f"dpkg-query -W -f '${{Status}}\\n' {package}; dpkg -P {package} > /dev/null; ls /etc/{package} /usr/share/{package} 2>&1 | wc -l")
        self.assertEqual((done.status, done.out), (0, "installed\nconfigured\ninstall ok installed\n2\n"), str(done))
        for path in (f"/usr/share/{package}", f"/etc/{package}", f"/var/lib/dpkg/info/{package}.list"):
            self.assertFalse(os.path.exists(path), f"{path} came to the machine")
        self.assertNotEqual(harness.run(["dpkg-query", "-W", package]).status, 0)

    def test_tar_keeps_owners_and_special_files(self):
        done = self.shell("mkdir t; echo x > t/f; chown 12:34 t/f; mkfifo t/p; ln -s f t/l; tar cf t.tar t; rm -r t; "
                          "tar xf t.tar; stat -c '%n %u:%g %F' t/f t/p t/l", cwd=self.dir)
        if os.getuid() == 0:
            self.assertEqual(done.out, "t/f 12:34 regular file\nt/p 0:0 fifo\nt/l 0:0 symbolic link\n", str(done))


if __name__ == "__main__":
    harness.main()
