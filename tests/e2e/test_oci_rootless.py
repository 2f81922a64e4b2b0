"""Bundles of ordinary users: one id, ids of newuidmap, and a user namespace that an engine made."""

import json
import os
import shutil

import harness
from attack_case import AttackCase
from oci_case import oci_program

USER = 61234  # no entry in passwd, subuid or subgid
FIRST = 700000  # of his subordinate ids, where he has some


def mapping(host, inside=0):
    return [{"containerID": inside, "hostID": host, "size": 1}]


def rootless_config(user=USER, **linux):
    config = harness.default_config()
    config["linux"]["namespaces"].append({"type": "user"})
    config["linux"].update(uidMappings=mapping(user), gidMappings=mapping(user), **linux)
    return config


def without_namespace(config, *kinds):
    config["linux"]["namespaces"] = [each for each in config["linux"]["namespaces"] if each["type"] not in kinds]
    return config


class RootlessCase(AttackCase):
    def run_as_user(self, *args, config=None, options=(), user=USER, **more):
        bundle = self.bundle(*args, config=config or rootless_config(user))
        return self.oci("run", "--bundle", bundle, *options, self.name, user=user, **more)

    def shell(self, script, config=None, **more):
        return self.run_as_user("/bin/sh", "-c", script, config=config, **more)


class Cgroups(RootlessCase):
    def test_cve_2023_25809_the_users_own_cgroup_is_read_only_inside(self):
        point = next(line.split()[4] for line in harness.mountinfo() if " - cgroup2 " in line)
        own = os.path.join(point, f"{self.name}-user")
        os.mkdir(own)
        self.addCleanup(os.rmdir, own)
        os.chown(own, USER, USER)

        def leaves():
            return [name for name in os.listdir(own) if name.startswith("escape")]
        attempt = f"mkdir {own}/escape && echo made"
        argv, env = self.as_user(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", attempt], USER)
        naive = harness.run(argv, env=env)
        self.assertEqual((naive.out, leaves()), ("made\n", ["escape"]), str(naive))
        os.rmdir(os.path.join(own, "escape"))

        sysfs = [mount for mount in harness.default_config()["mounts"] if not mount["destination"].startswith("/sys")]
        bound = {"destination": "/sys", "type": "none", "source": "/sys", "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]}
        configs = {"no cgroup namespace": without_namespace(rootless_config(), "cgroup", "network"),
                   "/sys of the host": without_namespace(rootless_config(), "network")}
        configs["/sys of the host"]["mounts"] = sysfs + [bound]
        for name, config in configs.items():
            with self.subTest(name):
                done = self.shell(f"test -d /sys/fs/cgroup && echo there; {attempt}; mkdir /sys/fs/cgroup/escape && echo made", config)
                self.assertEqual(done.out, "there\n", str(done))
                self.assertEqual(leaves(), [])


class OneId(RootlessCase):
    """Without subordinate ids: the user is root inside, and nobody else is there."""

    def test_what_a_bundle_for_root_asks_for_is_had_or_said(self):
        script = ("id -u; cat /proc/self/uid_map /proc/self/setgroups; for d in null zero full random urandom tty; do "
                  "stat -c %t:%T /dev/$d; done; echo x >/dev/null && echo written; cat /proc/self/oom_score_adj")
        config = rootless_config(sysctl={"net.ipv4.ping_group_range": "0 0", "kernel.shmmax": "1000"})
        config["process"]["oomScoreAdj"] = 100
        done = self.shell(script, config)
        self.assert_ok(done)
        self.assertEqual(done.out.split(), ["0", "0", str(USER), "1", "deny", "1:3", "1:5", "1:7", "1:8", "1:9", "5:0",
                                            "written", "100"])
        for skipped in ("one id is mapped", "gid=5 is not mapped", "no cgroup is delegated"):
            self.assertIn(skipped, done.err)

    def test_a_shared_network_shows_the_hosts_sys_read_only(self):
        done = self.shell("test -d /sys/class && echo there; touch /sys/x", without_namespace(rootless_config(), "network"))
        self.assertEqual(done.out, "there\n", str(done))
        self.assertIn("Read-only file system", done.err)

    def test_devices_are_those_of_the_host(self):
        config = rootless_config(devices=[{"path": "/dev/full", "type": "c", "major": 1, "minor": 7}])
        done = self.shell("stat -c %t:%T /dev/full", config)
        self.assertEqual(done.out, "1:7\n", str(done))
        config["linux"]["devices"][0]["path"] = "/dev/no-such"
        done = self.shell("true", config)
        self.assertNotEqual(done.status, 0)
        self.assertIn("/dev/no-such", done.err)
        self.assertIn("on the host", done.err)

    def test_what_cannot_be_is_refused_with_the_field(self):
        other = [{"containerID": 0, "hostID": 0, "size": 1}]
        cases = {
            "process.user.additionalGids": {"process": {"user": {"additionalGids": [10]}}},
            "process.user.uid": {"process": {"user": {"uid": 1000}}},
            "linux.resources.memory.limit": {"linux": {"resources": {"memory": {"limit": 1 << 26}}}},
            "linux.resources.pids.limit": {"linux": {"resources": {"pids": {"limit": 20}}}},
            "oomScoreAdj": {"process": {"oomScoreAdj": -500}},
            "RLIMIT_NOFILE": {"process": {"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1 << 30, "hard": 1 << 30}]}},
            "process.scheduler": {"process": {"scheduler": {"policy": "SCHED_FIFO", "priority": 1}}},
            "linux.netDevices": {"linux": {"netDevices": {"eth0": {}}}},
            "net.ipv4.ping_group_range": {"linux": {"sysctl": {"net.ipv4.ping_group_range": "0 2147483647"}}},
            "newuidmap": {"linux": {"uidMappings": other}},
        }
        for field, changes in cases.items():
            with self.subTest(field):
                done = self.shell("true", harness.deep_update(rootless_config(), changes))
                self.assertNotEqual(done.status, 0, str(done))
                self.assertIn(field, done.err)
                self.assertIn("cure:", done.err)
        config = without_namespace(rootless_config(), "user")
        config["linux"].update(uidMappings=[], gidMappings=[])
        done = self.shell("true", config)
        self.assertIn("in a user namespace only", done.err, str(done))

    def test_the_keyring_is_new_or_the_callers(self):
        for options in ((), ("--no-new-keyring",)):
            self.assert_ok(self.shell("true", options=options))

    def test_a_closed_source_is_named(self):
        closed = os.path.join(self.dir, "closed")
        os.makedirs(os.path.join(closed, "source"))
        os.chmod(closed, 0o700)
        config = rootless_config()
        config["mounts"].append({"destination": "/tmp", "type": "bind", "source": os.path.join(closed, "source"),
                                 "options": ["bind"]})
        done = self.shell("true", config)
        self.assertNotEqual(done.status, 0)
        self.assertIn(os.path.join(closed, "source"), done.err)
        self.assertIn("cure:", done.err)

    def test_every_verb_without_a_cgroup(self):
        def verb(*words):
            return self.oci(*words, user=USER)

        def kept_verb(*words):
            argv, env = self.as_user([oci_program(), "--root", "x", *words], USER)
            self.assert_ok(self.kept(argv, env=env))
        kept_verb("create", "--bundle", self.bundle("/bin/sleep", "1000", config=rootless_config()), self.name)
        self.addCleanup(verb, "delete", "--force", self.name)
        state = json.loads(verb("state", self.name).out)
        self.assertEqual((state["status"], state["owner"]), ("created", str(USER)))
        self.assert_ok(verb("start", self.name))
        self.assertEqual(verb("exec", self.name, "id", "-u").out, "0\n")
        done = verb("exec", "--user", "1000", self.name, "id")
        self.assertIn("uid 1000 is not mapped", done.err)
        self.assertEqual(json.loads(verb("ps", "--format", "json", self.name).out), [state["pid"]])
        pid_file = os.path.join(self.dir, f"runtime-{USER}", "pid")
        kept_verb("exec", "--detach", "--pid-file", pid_file, self.name, "sleep", "1000")
        with open(pid_file, encoding="ascii") as file:
            both = sorted([state["pid"], int(file.read())])
        self.assertEqual(json.loads(verb("ps", "--format", "json", self.name).out), both)
        for words, reason in ((("pause",), "no cgroup that can freeze"), (("resume",), "not paused"),
                              (("update", "--memory", "64M"), "linux.resources.memory.limit"),
                              (("update", "--pids-limit", "9"), "linux.resources.pids.limit")):
            done = verb(*words, self.name)
            self.assertNotEqual(done.status, 0)
            self.assertIn(reason, done.err)
        self.assertIn(self.name, verb("list").out)
        self.assert_ok(verb("kill", self.name, "KILL"))
        # The exec's process is an orphan that we have to collect: until then the pid namespace is there.
        harness.wait_until(lambda: self._reap() or json.loads(verb("state", self.name).out)["status"] == "stopped", "it stops")
        self.assert_ok(verb("delete", self.name))


class ManyIds(RootlessCase):
    """With newuidmap: a user in passwd who has subordinate ids, by files of this test's own."""

    def setUp(self):
        super().setUp()
        if shutil.which("newuidmap") is None:
            self.skipTest("newuidmap is missing: install uidmap")
        with open("/etc/passwd", encoding="utf-8") as file:
            passwd = file.read()
        for name, text in (("passwd", f"{passwd}rootless:x:{USER}:{USER}::/:/bin/sh\n"),
                           ("subuid", f"rootless:{FIRST}:65536\n"), ("subgid", f"rootless:{FIRST}:65536\n")):
            with open(os.path.join(self.dir, name), "w", encoding="utf-8") as file:
                file.write(text)

    def config(self, **linux):
        ids = mapping(USER) + [{"containerID": 1, "hostID": FIRST, "size": 65536}]
        config = rootless_config()
        config["linux"].update(uidMappings=ids, gidMappings=ids, **linux)
        return config

    def shell(self, script, config=None, *, within=(), prepare="true"):
        bundle = self.bundle("/bin/sh", "-c", script, config=config or self.config())
        argv, env = self.as_user([oci_program(), "--root", "x", "run", "--bundle", bundle, self.name], USER)
        at = argv.index("--") + 1
        argv = [*argv[:at], *within, *argv[at:]]
        files = " && ".join(f"mount --bind {self.dir}/{name} /etc/{name}" for name in ("passwd", "subuid", "subgid"))
        return self.kept(["unshare", "--mount", "sh", "-c", f'{files} && {prepare} && exec "$@"', "sh", *argv], env=env)

    def test_users_and_groups_of_the_range(self):
        config = self.config(sysctl={"net.ipv4.ping_group_range": "0 65536"})
        config["process"]["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [5, 10]}
        done = self.shell("id -u; id -g; id -G; cat /proc/self/setgroups /proc/sys/net/ipv4/ping_group_range", config)
        self.assert_ok(done)
        lines = done.out.splitlines()
        self.assertEqual((lines[:2], sorted(lines[2].split()), lines[3:]),
                         (["1000", "1000"], ["10", "1000", "5"], ["allow", "0\t65536"]))

    def test_ids_that_are_not_his_are_refused_by_newuidmap(self):
        config = self.config()
        config["linux"]["uidMappings"] = mapping(USER) + [{"containerID": 1, "hostID": FIRST + 100000, "size": 65536}]
        done = self.shell("true", config)
        self.assertNotEqual(done.status, 0)
        self.assertIn("not allowed", done.err)
        self.assertIn("/etc/subuid", done.err)

    def test_without_newuidmap_the_package_is_named(self):
        hide = " && ".join(f"mount --bind /dev/null $(command -v {name})" for name in ("newuidmap", "newgidmap"))
        done = self.shell("true", prepare=hide)
        self.assertNotEqual(done.status, 0)
        self.assertIn("newuidmap", done.err)
        self.assertIn("install uidmap", done.err)

    # As Podman runs it: the engine made the user namespace, and is root in there.

    ENGINE = ("unshare", "--user", "--map-root-user", "--mount")

    def inside(self, script, config, *, many=True):
        return self.shell(script, config, within=[*self.ENGINE, "--map-auto"] if many else self.ENGINE)

    def test_in_a_user_namespace_that_an_engine_made(self):
        config = harness.default_config()
        config["process"]["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [5]}
        config["linux"]["sysctl"] = {"net.ipv4.ping_group_range": "0 0"}
        done = self.inside("id -u; wc -l </proc/self/uid_map; stat -c %t:%T /dev/null; test -d /sys/class && echo sys", config)
        self.assertEqual((done.status, done.out), (0, "1000\n2\n1:3\nsys\n"), str(done))

    def test_in_a_user_namespace_with_the_hosts_network_and_pids(self):
        config = without_namespace(harness.default_config(), "network", "pid")
        done = self.inside("test -d /sys/class && echo sys; test -d /proc/1 && echo proc; touch /sys/x", config)
        self.assertEqual(done.out, "sys\nproc\n", str(done))
        self.assertIn("Read-only file system", done.err)

    def test_in_a_user_namespace_of_one_id(self):
        done = self.inside("cat /proc/self/uid_map", harness.default_config(), many=False)
        self.assertEqual(done.out.split(), ["0", str(USER), "1"], str(done))
        self.assertIn("gid=5 is not mapped", done.err)
        config = harness.default_config()
        config["process"]["user"] = {"uid": 1000, "gid": 0}
        done = self.inside("true", config, many=False)
        self.assertIn("uid 1000 is not mapped", done.err)
        self.assertIn("the user namespace that this command runs in", done.err)

    def test_one_more_user_namespace_below_it(self):
        config = harness.default_config()
        config["linux"]["namespaces"].append({"type": "user"})
        ids = [{"containerID": 0, "hostID": 1, "size": 1000}]
        config["linux"].update(uidMappings=ids, gidMappings=ids)
        done = self.inside("cat /proc/self/uid_map", config)
        self.assertEqual(done.out.split(), ["0", "1", "1000"], str(done))


if __name__ == "__main__":
    if os.getuid() != 0:
        print("test_oci_rootless: skipped, needs root to become an ordinary user")
    else:
        harness.main()
