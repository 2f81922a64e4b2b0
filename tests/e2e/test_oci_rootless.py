"""Bundles of ordinary users: one id, ids of newuidmap, and a user namespace that an engine made."""

import os

import harness
from attack_case import AttackCase

USER = 61234  # no entry in passwd, subuid or subgid


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


if __name__ == "__main__":
    if os.getuid() != 0:
        print("test_oci_rootless: skipped, needs root to become an ordinary user")
    else:
        harness.main()
