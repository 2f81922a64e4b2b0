"""runtime.md: operations, their errors, the state, the order of the life cycle, hooks."""

import json
import os

import harness
from suite import KILL, Skip, expect, must

SLEEP = "sleep 1000"
HOOK_KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def fails(done):
    expect(done.status != 0, f"no error: {done}")
    expect(done.err.strip(), f"an error without a word: {done}")


# --- operations without or with an unknown id

for operation in ("state", "create", "start", "kill", "delete"):
    @must(f"runtime.{operation}.no-id-errors")
    def no_id(lab, operation=operation):
        fails(lab.call(operation))

for operation in ("state", "start", "kill", "delete"):
    @must(f"runtime.{operation}.unknown-id-errors")
    def unknown_id(lab, operation=operation):
        fails(lab.call(operation, "no-such-container"))


@must("runtime.create.no-bundle-errors")
def no_bundle(lab):
    fails(lab.call("create", "--bundle", "/no/such/bundle", lab.new_id()))


@must("runtime.create.bundle-without-config-errors")
def no_config(lab):
    fails(lab.call("create", "--bundle", lab.rootfs, lab.new_id()))


@must("runtime.create.id-in-use-errors-and-harms-nothing")
def id_in_use(lab):
    name = lab.create(lab.config(SLEEP))
    before = lab.state(name)
    fails(lab.call("create", "--bundle", lab.bundle(lab.config(SLEEP)), name))
    expect(lab.state(name) == before, "the first container changed")
    lab.end(name)


# --- one container through its life

def life(lab):
    seen = {}
    marker = os.path.join(lab.rootfs, "data", "ran")
    # The root is read-only: a bind takes the mark.
    config = lab.config("echo yes > /data/ran; " + SLEEP, {"annotations": {"org.example.key": "value"}, "mounts":
                        harness.default_config()["mounts"] + [{"destination": "/data", "options": ["bind", "rw"],
                                                               "source": os.path.join(lab.rootfs, "data")}]})
    bundle = lab.bundle(config)
    name = lab.new_id()
    done = lab.call("create", "--bundle", bundle, "--pid-file", os.path.join(lab.dir, "pid"), name)
    expect(done.status == 0, str(done))
    seen["bundle"], seen["id"] = bundle, name
    with open(os.path.join(lab.dir, "pid"), encoding="utf-8") as file:
        seen["pid-file"] = file.read()
    seen["created"] = lab.state(name)
    seen["alive"] = os.path.exists(f"/proc/{seen['created']['pid']}")
    seen["ran-before-start"] = os.path.exists(marker)
    # Changes after create must not matter.
    with open(os.path.join(bundle, "config.json"), "w", encoding="utf-8") as file:
        json.dump(lab.config("echo changed > /data/changed"), file)
    seen["start"] = lab.call("start", name)
    harness.wait_until(lambda: os.path.exists(marker), "the program runs", 20)
    seen["running"] = lab.state(name)
    seen["start-again"] = lab.call("start", name)
    seen["after-start-again"] = lab.state(name)
    seen["delete-running"] = lab.call("delete", name)
    seen["after-delete-running"] = lab.state(name)
    seen["kill"] = lab.call("kill", name, KILL)
    lab.wait_status(name, "stopped")
    seen["stopped"] = lab.state(name)
    seen["kill-stopped"] = lab.call("kill", name, KILL)
    seen["start-stopped"] = lab.call("start", name)
    seen["delete"] = lab.call("delete", name)
    seen["after-delete"] = lab.call("state", name)
    seen["cgroups"] = [path for path in harness.cgroup_directories(lab.word)
                       if path.endswith(config["linux"]["cgroupsPath"])]
    seen["changed"] = os.path.exists(os.path.join(lab.rootfs, "data", "changed"))
    seen["again"] = lab.call("create", "--bundle", bundle, name)
    lab.call("delete", "--force", name)
    os.unlink(marker)
    return seen


LIFE = {
    "runtime.create.program-does-not-run": lambda s: not s["ran-before-start"],
    "runtime.create.pid-file-names-the-process": lambda s: s["pid-file"] == str(s["created"]["pid"]),
    "runtime.create.config-changes-after-it-have-no-effect": lambda s: not s["changed"],
    "runtime.state.ociVersion-is-semver": lambda s: len(s["created"]["ociVersion"].split(".")) == 3,
    "runtime.state.id": lambda s: s["created"]["id"] == s["id"],
    "runtime.state.status-created": lambda s: s["created"]["status"] == "created",
    "runtime.state.status-running": lambda s: s["running"]["status"] == "running",
    "runtime.state.status-stopped": lambda s: s["stopped"]["status"] == "stopped",
    "runtime.state.pid-of-created-is-a-process-of-the-host": lambda s: s["alive"],
    "runtime.state.pid-stays-the-same": lambda s: s["created"]["pid"] == s["running"]["pid"] > 0,
    "runtime.state.bundle-is-absolute": lambda s: s["created"]["bundle"] == s["bundle"],
    "runtime.state.annotations": lambda s: s["running"]["annotations"] == {"org.example.key": "value"},
    "runtime.start.runs-the-program": lambda s: s["start"].status == 0,
    "runtime.start.not-created-errors": lambda s: s["start-again"].status != 0,
    "runtime.start.not-created-has-no-effect": lambda s: s["after-start-again"]["status"] == "running",
    "runtime.start.stopped-errors": lambda s: s["start-stopped"].status != 0,
    "runtime.kill.running": lambda s: s["kill"].status == 0,
    "runtime.kill.stopped-errors": lambda s: s["kill-stopped"].status != 0,
    "runtime.delete.not-stopped-errors": lambda s: s["delete-running"].status != 0,
    "runtime.delete.not-stopped-has-no-effect": lambda s: s["after-delete-running"]["status"] == "running",
    "runtime.delete.removes-the-container": lambda s: s["delete"].status == 0 and s["after-delete"].status != 0,
    "runtime.delete.removes-cgroups-that-create-made": lambda s: not s["cgroups"],
    "runtime.delete.id-can-be-used-again": lambda s: s["again"].status == 0,
}
for rule, holds in LIFE.items():
    @must(rule)
    def of_life(lab, holds=holds):
        seen = lab.once("life", lambda: life(lab))
        expect(holds(seen), "it does not hold: " + "; ".join(
            f"{key}={value}" for key, value in seen.items() if key in ("created", "running", "stopped", "pid-file")))


@must("runtime.start.without-process-errors")
def start_without_process(lab):
    config = lab.config()
    del config["process"]
    name = lab.new_id()
    done = lab.call("create", "--bundle", lab.bundle(config), name)
    if done.status != 0:
        raise Skip("create refuses a configuration without a process, which is allowed")
    fails(lab.call("start", name))
    lab.call("delete", "--force", name)


@must("runtime.kill.created")
def kill_created(lab):
    name = lab.create(lab.config(SLEEP))
    done = lab.call("kill", name, KILL)
    expect(done.status == 0, str(done))
    lab.wait_status(name, "stopped")
    expect(lab.call("delete", name).status == 0, "delete")


@must("runtime.kill.sends-the-signal-named")
def kill_signal(lab):
    out = os.path.join(lab.rootfs, "data", "signal")
    name = lab.create(lab.config("trap 'echo usr1 > /data/signal; exit' USR1; echo > /data/ready; while :; do sleep 0.01; done",
                                 {"mounts": harness.default_config()["mounts"] + [
                                     {"destination": "/data", "options": ["bind", "rw"], "source": os.path.join(lab.rootfs, "data")}]}))
    lab.call("start", name)
    ready = os.path.join(lab.rootfs, "data", "ready")
    harness.wait_until(lambda: os.path.exists(ready), "the trap is set", 20)
    expect(lab.call("kill", name, "USR1").status == 0, "kill USR1")
    lab.wait_status(name, "stopped")
    with open(out, encoding="utf-8") as file:
        expect(file.read() == "usr1\n", "another signal came")
    lab.call("delete", name)
    os.unlink(out)
    os.unlink(ready)


# --- hooks

def noting(kind, path):
    # Written at once: the program writes to the same file beside a poststart hook.
    script = (f'all=$(echo "== {kind} $1 $2"; cat; echo; echo "env:$ONLY:$HOME:$(env | wc -l)"; '
              f'readlink /proc/self/ns/mnt; pwd); echo "$all" >> {path}')
    return [{"path": "/bin/sh", "args": ["sh", "-c", script, "argv0", "one", "1"], "env": ["ONLY=this"], "timeout": 15},
            {"path": "/bin/sh", "args": ["sh", "-c", f"echo '== {kind} two 2' >> {path}"], "timeout": 15}]


def hooked(lab):
    log = os.path.join(lab.rootfs, "data", "hooks")
    config = lab.config("echo '== program' >> /data/hooks; readlink /proc/self/ns/mnt >> /data/hooks; " + SLEEP, {
        "annotations": {"org.example.key": "value"},
        "mounts": harness.default_config()["mounts"] + [{"destination": "/data", "options": ["bind", "rw"],
                                                         "source": os.path.join(lab.rootfs, "data")}],
        "hooks": {kind: noting(kind, "/data/hooks" if kind == "startContainer" else log) for kind in HOOK_KINDS}})
    name = lab.create(config)
    with open(log, encoding="utf-8") as file:
        created = file.read()
    pid = lab.state(name)["pid"]
    started = lab.call("start", name)
    harness.wait_until(lambda: "== program" in open(log, encoding="utf-8").read(), "the program runs", 20)
    lab.end(name)
    with open(log, encoding="utf-8") as file:
        text = file.read()
    os.unlink(log)
    parts = {}
    for part in ("\n" + text).split("\n== ")[1:]:
        title, _, body = part.partition("\n")
        parts[title.strip()] = body
    return {"order": list(parts), "parts": parts, "created": created, "pid": pid, "start": started, "id": name,
            "host": os.readlink("/proc/self/ns/mnt")}


def with_hooks(rule):
    def register(function):
        @must(rule)
        def check(lab):
            seen = lab.once("hooks", lambda: hooked(lab))
            function(seen)
        return check
    return register


def state_in(seen, kind):
    return json.loads(seen["parts"][f"{kind} one 1"].split("env:")[0])


@with_hooks("runtime.lifecycle.hooks-run-in-order")
def hook_order(seen):
    expected = [f"{kind} {rest}" for kind in HOOK_KINDS[:4] for rest in ("one 1", "two 2")]
    order = [item for item in seen["order"] if not item.startswith(("program", "poststart"))]
    expect(order == expected + ["poststop one 1", "poststop two 2"], f"order: {seen['order']}")


@with_hooks("runtime.lifecycle.createContainer-within-create")
def hooks_in_create(seen):
    expect("== createContainer two" in seen["created"] and "startContainer" not in seen["created"], seen["created"])


@with_hooks("runtime.lifecycle.startContainer-before-the-program")
def hook_before_program(seen):
    order = seen["order"]
    expect(order.index("startContainer two 2") < order.index("program"), str(order))


@with_hooks("runtime.lifecycle.poststart-runs")
def hook_poststart(seen):
    expect("poststart one 1" in seen["order"] and seen["start"].status == 0, str(seen["order"]))


for hook_kind, status in (("prestart", "creating"), ("createRuntime", "creating"), ("createContainer", "creating"),
                          ("startContainer", "created"), ("poststart", "running"), ("poststop", "stopped")):
    @with_hooks(f"config.hooks.{hook_kind}.state-on-stdin")
    def hook_state(seen, kind=hook_kind):
        state = state_in(seen, kind)
        expect(state["id"] == seen["id"] and state["annotations"] == {"org.example.key": "value"}, str(state))
        expect(kind == "poststop" or state["pid"] == seen["pid"] or kind == "startContainer", str(state))

    @with_hooks(f"config.hooks.{hook_kind}.status-{status}")
    def hook_status(seen, kind=hook_kind, status=status):
        found = state_in(seen, kind)["status"]
        also = {"creating": ("creating", "created"), "created": ("created", "starting")}.get(status, (status,))
        expect(found in also, f"{found}, not {status}")

for hook_kind, inside in (("prestart", False), ("createRuntime", False), ("createContainer", True),
                          ("startContainer", True), ("poststart", False), ("poststop", False)):
    @with_hooks(f"config.hooks.{hook_kind}.runs-in-the-{'container' if inside else 'runtime'}-namespace")
    def hook_namespace(seen, kind=hook_kind, inside=inside):
        body = seen["parts"][f"{kind} one 1"]
        expect((seen["host"] not in body) == inside, body)


@with_hooks("config.hooks.env-is-all-that-is-given")
def hook_env(seen):
    # sh itself adds PWD and its like; nothing of the caller's shows.
    expect("env:this::" in seen["parts"]["createRuntime one 1"], seen["parts"]["createRuntime one 1"])


for hook_kind in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"):
    @must(f"config.hooks.{hook_kind}.failure-{'is-a-warning' if hook_kind == 'poststop' else 'stops-the-container'}")
    def hook_failure(lab, kind=hook_kind):
        name = lab.new_id()
        bundle = lab.bundle(lab.config(SLEEP, {"hooks": {kind: [{"path": "/bin/sh", "args": ["sh", "-c", "exit 3"]}]}}))
        created = lab.call("create", "--bundle", bundle, name)
        if kind in ("prestart", "createRuntime", "createContainer"):
            fails(created)
            expect(lab.call("state", name).status != 0, "a container is left behind")
            return
        expect(created.status == 0, str(created))
        started = lab.call("start", name)
        if kind == "poststop":
            expect(started.status == 0, str(started))
            lab.end(name)
            return
        fails(started)
        if lab.call("state", name).status == 0:
            lab.wait_status(name, "stopped")
            lab.call("delete", "--force", name)


@must("config.hooks.timeout-ends-the-hook")
def hook_timeout(lab):
    config = lab.config("true", {"hooks": {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "sleep 100"], "timeout": 1}]}})
    fails(lab.call("create", "--bundle", lab.bundle(config), lab.new_id()))
