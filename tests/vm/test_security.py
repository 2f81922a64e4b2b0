"""CVE-2025-52881 and CVE-2019-16884 where security modules are: labels that a container wants to be lost."""

import subprocess

import harness
from oci_case import OciCase
from test_machine import PROFILE, RULES

# A container that is allowed to mount puts a tree of its own over /proc.
FAKE = ("mkdir -p /tmp/fake/thread-self/attr; : >/tmp/fake/thread-self/attr/exec; mount --bind /tmp/fake /proc; "
        "echo ready; exec sleep 1000")


class Labels(OciCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        subprocess.run(["apparmor_parser", "--replace", "--skip-cache"], input=RULES, text=True, check=True)

    @classmethod
    def tearDownClass(cls):
        subprocess.run(["apparmor_parser", "--remove"], input=RULES, text=True, check=True)

    def test_cve_2025_52881_a_label_is_not_written_to_a_file_of_the_containers(self):
        sets = {kind: ["CAP_SYS_ADMIN"] for kind in ("bounding", "effective", "permitted")}
        pid = self.start_new(self.bundle("/bin/sh", "-c", FAKE, changes={
            "root": {"readonly": False}, "process": {"capabilities": sets},
            "linux": {"maskedPaths": [], "readonlyPaths": []}}))
        harness.wait_until(lambda: "ready" in self.kept_output(), "/proc is covered")
        file = "/proc/thread-self/attr/exec"
        naive = harness.run(["nsenter", "-t", str(pid), "-m", "-p", "/bin/sh", "-c",
                             f"printf 'exec {PROFILE}' >{file} && /bin/cat {file}"])
        self.assertEqual(naive.out, f"exec {PROFILE}", str(naive))

        done = self.oci("exec", "--apparmor", PROFILE, self.name, "/bin/echo", "unconfined")
        self.assertNotEqual(done.status, 0)
        self.assertEqual(done.out, "")
        self.assertIn(PROFILE, done.err)
        self.assertIn("procfs", done.err)
        self.delete("--force")


if __name__ == "__main__":
    harness.main()
