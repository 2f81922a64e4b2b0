# ctest: RELEASE_ONLY
"""Buildah on caisson-oci: `run` in a working container and builds from a Containerfile."""

import os

import harness
from engine_case import EngineCase, runtime


class Buildah(EngineCase):
    programs = {"buildah": "buildah", "script": "bsdutils"}

    @classmethod
    def start_engine(cls):
        config = os.path.join(cls.home, "containers.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write('[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n')
        cls.environment = {**os.environ, "CONTAINERS_CONF": config, "TMPDIR": cls.home, "BUILDAH_ISOLATION": "oci"}
        cls.image_tar()

    @classmethod
    def argv(cls, *arguments):
        return ["buildah", f"--root={cls.home}/root", f"--runroot={cls.home}/runroot", "--storage-driver=overlay",
                *arguments]

    def buildah(self, *arguments, **options):
        return harness.run(self.argv(*arguments), env=self.environment, **options)

    def working_container(self):
        name = self.buildah("from", "scratch").out.strip()
        self.addCleanup(self.buildah, "rm", name)
        self.assert_ok(self.buildah("add", name, os.path.join(self.home, "image.tar"), "/"))
        self.assert_ok(self.buildah("config", "--env=PATH=/bin:/usr/bin", name))
        return name

    def run_argv(self, *arguments):
        return self.argv("run", "--runtime", runtime(), "--network=none", *arguments)

    def run_in(self, *arguments, **options):
        return harness.run(self.run_argv(*arguments), env=self.environment, **options)

    def test_run(self):
        name = self.working_container()
        self.assert_ends(self.run_in(name, "sh", "-c", "echo out; echo err >&2; exit 7"), 7, "out\n", "err\n")
        done = self.run_in(name, "cat", input="through\n")
        self.assert_ends(done, 0, "through\n")
        self.assertEqual(done.err, "", "the log of the runtime is what Buildah shows")
        for program, words in (("no-such", "executable file not found in $PATH"), ("/etc/passwd", "permission denied")):
            self.assert_ends(self.run_in(name, program), 1, "", words)
        self.assert_ends(self.run_in("--user=33:44", "--workingdir=/tmp", "--env=A=1", name, "sh", "-c",
                                     "id -u; id -g; pwd; echo $A"), 0, "33\n44\n/tmp\n1\n")
        self.assert_ends(self.run_in("--cap-drop=all", name, "grep", "CapEff", "/proc/self/status"), 0,
                         "CapEff:\t0000000000000000\n")
        self.assert_ends(self.run_in("-v", f"{self.dir}:/v:ro", name, "touch", "/v/x"), 1, "", "Read-only file system")
        self.assert_ok(self.run_in(name, "sh", "-c", "echo kept > /kept"))
        self.assert_ends(self.run_in("--no-pivot", name, "cat", "/kept"), 0, "kept\n")
        done = self.on_terminal(self.run_argv("--terminal", name, "sh", "-c", "tty; exit 4"), env=self.environment)
        self.assert_status(done, 4)
        self.assertIn("/dev/pts/0", done.out)

    def test_builds(self):
        context = os.path.join(self.dir, "context")
        os.mkdir(context)
        os.link(os.path.join(self.home, "image.tar"), os.path.join(context, "image.tar"))

        def build(*steps):
            path = os.path.join(self.dir, "Containerfile")
            with open(path, "w", encoding="ascii") as file:
                file.write("\n".join(["FROM scratch", "ADD image.tar /", "ENV PATH=/bin", *steps, ""]))
            return self.buildah("bud", "--runtime", runtime(), "--network=none", "--quiet", "--layers=false",
                                "-t", "built", "-f", path, context)
        # Mounts that cover nothing are for every user.
        self.assert_ok(build("RUN echo one > /one", "USER 33", "WORKDIR /work",
                             "RUN test $(id -u) = 33 && test $PWD = /work && test $(cat /one) = one",
                             "RUN --mount=type=tmpfs,target=/scratch touch /scratch/x"))
        done = build("RUN exit 9")
        self.assertNotEqual(done.status, 0)
        self.assertIn("exit status 9", done.err)


if __name__ == "__main__":
    harness.main()
