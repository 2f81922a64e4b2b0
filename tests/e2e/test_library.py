"""libcaisson as a program's own: linked statically and by name, from C, C++ and Python."""
# ctest: TIMEOUT 300

import ctypes
import os
import re
import shutil
import signal
import subprocess
import unittest

import harness
import oci_case

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.dirname(harness.CAISSON)
STATIC = os.path.join(BUILD, "libcaisson.a")
SHARED = os.path.join(BUILD, "libcaisson.so.0")
INCLUDE = os.path.join(SOURCE, "include")
WARNINGS = ["-Wall", "-Wextra", "-pedantic", "-Werror"]
SANITIZE = ["-fsanitize=address,undefined"] if harness.SANITIZED else []


def compiled(folder, source, *, static):
    """A program made of one file, as a user of the library makes it."""
    program = os.path.join(folder, os.path.basename(source) + ("-static" if static else "-shared"))
    language = (["g++", "-std=c++23"] if source.endswith(".cc") else ["gcc", "-std=c11"])
    library = [STATIC, "-lstdc++", "-lm"] if static else [SHARED, f"-Wl,-rpath,{BUILD}"]
    done = harness.run([*language, *WARNINGS, *SANITIZE, "-O1", f"-I{INCLUDE}", source, "-o", program,
                        *library, "-pthread"], timeout=120)
    if done.status != 0:
        raise AssertionError(str(done))
    return program


class LibraryCase(oci_case.OciCase):
    def sleeping_bundle(self, **changes):
        # The pid namespace's init ends by SIGKILL alone, which is what the programs send.
        return self.bundle("/bin/sleep", "1000", **changes)

    def run_program(self, program, *arguments, **options):
        return self.kept([program, self.state, *arguments], timeout=120, **options)


class Programs(LibraryCase):
    def check_threads(self, static, env=None):
        program = compiled(self.dir, os.path.join(SOURCE, "tests/library/threads.c"), static=static)
        rounds = "2" if harness.SANITIZED else "5"
        done = self.run_program(program, self.sleeping_bundle(), self.name, "4", rounds, env=env)
        self.assert_ok(done)
        self.assertEqual(done.out, "as before\n")
        self.assertEqual(done.err, "")

    def test_threads_of_a_c_program_with_the_shared_library(self):
        self.check_threads(static=False)

    def test_threads_of_a_c_program_with_the_static_library(self):
        self.check_threads(static=True)

    def test_children_may_share_the_memory_of_a_program_with_threads(self):
        self.check_threads(static=True, env={"SHARE_MEMORY": "1"})

    def check_once(self, static):
        program = compiled(self.dir, os.path.join(SOURCE, "tests/library/once.cc"), static=static)
        done = self.run_program(program, self.sleeping_bundle(), self.name)
        self.assert_ok(done)
        self.assertEqual((done.out, done.err), ("well\n", ""))

    def test_cpp_program_with_the_shared_library(self):
        self.check_once(static=False)

    def test_cpp_program_with_the_static_library(self):
        self.check_once(static=True)

    def test_example_of_the_documentation(self):
        with open(os.path.join(SOURCE, "docs/library.md"), encoding="utf-8") as file:
            example, = re.findall(r"^```c\n(.*?)^```$", file.read(), re.DOTALL | re.MULTILINE)
        source = os.path.join(self.dir, "example.c")
        with open(source, "w", encoding="utf-8") as file:
            file.write(example)
        program = compiled(self.dir, source, static=False)
        done = self.run_program(program, self.bundle("/bin/sh", "-c", "echo inside; exit 3"), self.name)
        self.assert_status(done, 3)
        self.assertEqual(done.out, "inside\nexited with 3\n")
        done = self.run_program(program, os.path.join(self.dir, "nothing"), self.name)
        self.assert_status(done, 125)
        self.assertIn("open the bundle", done.err)
        self.assertIn("  cure: ", done.err)


class Interface(unittest.TestCase):
    def test_exports_are_the_functions_of_the_header(self):
        with open(os.path.join(INCLUDE, "caisson/caisson.h"), encoding="utf-8") as file:
            text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.DOTALL)
        declared = set(re.findall(r"\b(caisson_\w+)\(", text))
        done = subprocess.run(["nm", "-D", "--defined-only", SHARED], capture_output=True, text=True,
                              check=True)
        exported = {line.split()[2] for line in done.stdout.splitlines()}
        functions = {name.split("@@")[0] for name in exported} - {"CAISSON_0"}
        self.assertEqual(functions, declared)

    def test_exports_are_those_that_were_promised(self):
        """A name that is gone, or another version of it, is another number behind libcaisson.so."""
        done = subprocess.run(["nm", "-D", "--defined-only", SHARED], capture_output=True, text=True,
                              check=True)
        names = sorted(line.split()[2] for line in done.stdout.splitlines())
        path = os.path.join(SOURCE, "tests/library/symbols.txt")
        with open(path, encoding="utf-8") as file:
            self.assertEqual(names, file.read().split())

    def test_structures_are_as_large_as_they_were(self):
        """Of the first version; members are added at the end, with a line for each size that was."""
        probe = "".join(f'printf("%s %zu\\n", "{name}", sizeof(caisson_{name}));' for name in (
            "runtime_options", "process", "exit", "create_options", "exec_options", "state", "list",
            "stats", "watch_options"))
        source = f"#include <caisson/caisson.h>\n#include <stdio.h>\nint main(void) {{ {probe} }}\n"
        program = f"/var/tmp/{harness.new_name()}"
        self.addCleanup(lambda: os.path.exists(program) and os.unlink(program))
        subprocess.run(["gcc", "-std=c11", f"-I{INCLUDE}", "-x", "c", "-", "-o", program], input=source,
                       text=True, check=True)
        done = subprocess.run([program], capture_output=True, text=True, check=True)
        with open(os.path.join(SOURCE, "tests/library/sizes.txt"), encoding="utf-8") as file:
            self.assertEqual(done.stdout, file.read())

    def test_needs_the_standard_libraries_alone(self):
        done = subprocess.run(["readelf", "-dW", SHARED], capture_output=True, text=True, check=True)
        needed = set(re.findall(r"\(NEEDED\).*\[(.*?)\]", done.stdout))
        sanitizers = {name for name in needed if name.startswith(("libasan", "libubsan"))}
        self.assertLessEqual(needed - sanitizers, {"libstdc++.so.6", "libm.so.6", "libc.so.6",
                                                   "libgcc_s.so.1", "ld-linux-x86-64.so.2"})
        self.assertRegex(done.stdout, r"\(SONAME\).*\[libcaisson\.so\.0\]")


class Installed(harness.TestCase):
    @unittest.skipUnless(shutil.which("cmake") and shutil.which("pkg-config"), "needs cmake and pkg-config")
    def test_is_found_by_pkg_config_wherever_it_was_installed(self):
        place = os.path.join(self.dir, "place")
        self.assert_ok(harness.run(["cmake", "--install", BUILD, "--prefix", place]))
        folders = [folder for folder, _, files in os.walk(place) if "caisson.pc" in files]
        self.assertEqual(len(folders), 1)
        environment = {**os.environ, "PKG_CONFIG_PATH": folders[0]}
        flags = harness.run(["pkg-config", "--cflags", "--libs", "caisson"], env=environment).out.split()
        source, program = (os.path.join(self.dir, name) for name in ("features.c", "features"))
        with open(source, "w", encoding="utf-8") as file:
            file.write("#include <caisson/caisson.h>\n#include <stdio.h>\n"
                       "int main(void) { char *json; return caisson_features(&json, NULL) || puts(json) < 0; }\n")
        self.assert_ok(harness.run(["gcc", *SANITIZE, source, "-o", program, *flags]))
        library = os.path.dirname(folders[0])
        done = harness.run([program], env={**os.environ, "LD_LIBRARY_PATH": library, "ASAN_OPTIONS": "detect_leaks=0"})
        self.assert_ok(done)
        self.assertEqual(done.out, self.oci("features").out)


class CreateOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("id", ctypes.c_char_p), ("bundle", ctypes.c_char_p),
                ("config", ctypes.c_char_p), ("pid_file", ctypes.c_char_p),
                ("console_socket", ctypes.c_char_p), ("pidfd_socket", ctypes.c_char_p),
                ("notify_socket", ctypes.c_char_p), ("seccomp_receiver", ctypes.c_char_p),
                ("env", ctypes.POINTER(ctypes.c_char_p)), ("stdin_fd", ctypes.c_int32),
                ("stdout_fd", ctypes.c_int32), ("stderr_fd", ctypes.c_int32),
                ("preserve_fds", ctypes.c_int32), ("flags", ctypes.c_uint32)]


class RuntimeOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("root", ctypes.c_char_p), ("flags", ctypes.c_uint32),
                ("lock_timeout_ms", ctypes.c_int32), ("on_warning", ctypes.c_void_p),
                ("user", ctypes.c_void_p)]


class Exit(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("known", ctypes.c_int32), ("code", ctypes.c_int32),
                ("signal", ctypes.c_int32), ("oom", ctypes.c_int32), ("at_ns", ctypes.c_int64)]


@unittest.skipIf(harness.SANITIZED, "a sanitized library cannot be loaded into a plain program")
class Python(LibraryCase):
    def setUp(self):
        super().setUp()
        self.library = ctypes.CDLL(SHARED)
        for name in ("message", "code", "cure", "where"):
            getattr(self.library, f"caisson_error_{name}").restype = ctypes.c_char_p
        self.runtime = ctypes.c_void_p()
        self.call("runtime_open", ctypes.byref(self.runtime_options()), ctypes.byref(self.runtime))
        self.addCleanup(lambda: self.library.caisson_runtime_close(self.runtime))

    def runtime_options(self, **changes):
        options = RuntimeOptions(root=self.state.encode(), lock_timeout_ms=10000)
        options.size = ctypes.sizeof(options)
        for name, value in changes.items():
            setattr(options, name, value)
        return options

    def failure(self, function, *arguments):
        """What a call returns, and its error as (code, message); (0, None) when there is none."""
        error = ctypes.c_void_p()
        value = getattr(self.library, f"caisson_{function}")(*arguments, ctypes.byref(error))
        if not error:
            return value, None
        found = (self.library.caisson_error_code(error).decode(),
                 self.library.caisson_error_message(error).decode())
        self.library.caisson_error_free(error)
        return value, found

    def call(self, function, *arguments):
        self.assertEqual(self.failure(function, *arguments), (0, None))

    def options(self, bundle, **changes):
        options = CreateOptions(id=self.name.encode(), bundle=bundle.encode(), stdin_fd=-1,
                                stdout_fd=-1, stderr_fd=-1)
        options.size = ctypes.sizeof(options)
        for name, value in changes.items():
            setattr(options, name, value)
        return options

    def test_runs_a_container_with_a_pipe_as_its_output(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        end = Exit(size=ctypes.sizeof(Exit))
        bundle = self.bundle("/bin/sh", "-c", "echo $GREETING; exit 5")
        env = (ctypes.c_char_p * 2)(b"GREETING=hello", None)
        self.call("run", self.runtime,
                  ctypes.byref(self.options(bundle, stdout_fd=writer, env=env)), ctypes.byref(end))
        os.close(writer)
        self.assertEqual((end.known, end.code, end.signal), (1, 5, 0))
        self.assertEqual(os.read(reader, 100), b"hello\n")
        self.assertEqual(os.listdir(self.state), [])

    def test_knows_an_exit_status_that_the_program_let_go(self):
        """SIGCHLD ignored: the kernel collects. Before Linux 6.15 nobody can tell then."""
        before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGCHLD, before)
        end = Exit(size=ctypes.sizeof(Exit))
        self.call("run", self.runtime, ctypes.byref(self.options(self.bundle("/bin/sh", "-c", "exit 5"))),
                  ctypes.byref(end))
        self.assertIn((end.known, end.code), [(1, 5), (0, 0)])
        if tuple(map(int, os.uname().release.split("-")[0].split(".")[:2])) >= (6, 15):
            self.assertEqual(end.known, 1)

    def test_sees_what_the_command_makes_and_the_other_way_around(self):
        bundle = self.sleeping_bundle()
        self.call("create", self.runtime, ctypes.byref(self.options(bundle)), None)
        self.assertEqual(self.state_of()["status"], "created")
        self.assert_ok(self.oci("start", self.name))
        text = ctypes.c_char_p()
        self.call("state_json", self.runtime, self.name.encode(), ctypes.byref(text))
        self.assertIn(b'"status": "running"', text.value)
        self.library.caisson_free(text)
        self.assert_ok(self.oci("kill", self.name, "KILL"))
        self.call("wait", self.runtime, self.name.encode(), 30000, None)
        self.call("delete", self.runtime, self.name.encode(), 0)
        self.assertEqual(self.oci("state", self.name).status, 1)

    def test_refuses_before_it_touches_anything(self):
        bundle = self.sleeping_bundle()
        cases = [
            (self.options(bundle, id=None), 22, "id: is NULL"),
            (self.options(bundle, id=b"a/b"), 22, "invalid container ID format"),
            (self.options(bundle, flags=1 << 30), 22, "flags: has a flag"),
            (self.options(bundle, size=1), 22, "size: is not that of the structure"),
            (self.options(bundle, preserve_fds=-1), 22, "preserve_fds: is negative"),
            (self.options(bundle, config=b"{"), 22, "config.json"),
            (self.options(bundle, env=(ctypes.c_char_p * 2)(b"=x", None)), 22, "is not NAME=value"),
        ]
        for options, status, words in cases:
            with self.subTest(words):
                value, error = self.failure("create", self.runtime, ctypes.byref(options), None)
                self.assertEqual(value, status)
                self.assertIn(words, error[1])
        self.assertEqual(os.listdir(self.state), [])

    def test_a_structure_of_a_later_version_is_refused_when_it_says_more(self):
        class Later(ctypes.Structure):
            _fields_ = [("first", CreateOptions), ("more", ctypes.c_uint64)]
        later = Later(first=self.options(self.sleeping_bundle()), more=7)
        later.first.size = ctypes.sizeof(later)
        value, error = self.failure("create", self.runtime, ctypes.byref(later), None)
        self.assertEqual((value, error[0]), (7, "library.version"))  # E2BIG
        later.more = 0
        self.call("create", self.runtime, ctypes.byref(later), None)
        self.call("delete", self.runtime, self.name.encode(), 0)

    def test_state_directory_must_be_absolute(self):
        runtime = ctypes.c_void_p()
        value, error = self.failure("runtime_open", ctypes.byref(self.runtime_options(root=b"x")),
                                    ctypes.byref(runtime))
        self.assertEqual((value, error[0]), (22, "root.invalid"))


if __name__ == "__main__":
    harness.main()
