"""The scenarios: each injects its own faults into a fresh root, and ends with everything exact."""

import collections
import contextlib
import functools
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import time

from machines import EXPORT, LEASE_S, run
from trial import AFTER, DURING, LATER, LINES, WORK, together

OUTAGE_S = 14


def landers(trial, clients, **options):
    return [functools.partial(trial.land, client, **options) for client in clients]


def after(seconds, act):
    def act_later():
        time.sleep(seconds)
        act()

    return act_later


def kill_2(trial):
    """SIGKILL at any moment, two clients: a kill frees the locks and leaves torn tails.

    A client that only reads verifies meanwhile. So does one that lands, which may cache old pages
    of its open files."""
    with trial.watched(trial.clients[2]), trial.watched(trial.clients[0]):
        together(*landers(trial, trial.clients[:2], kills=12))
    trial.finish()


def kill_4(trial):
    """The same with four clients."""
    together(*landers(trial, trial.clients, kills=6))
    trial.finish()


def contend_8(trial):
    """Eight clients land the same objects at once, and flock excludes all but one."""
    together(*landers(trial, trial.clients, several=4))
    trial.finish()


def cut(trial, client, seconds=OUTAGE_S):
    trial.faults += 1
    client.link("down")
    time.sleep(seconds)
    client.link("up")


def cut_once(trial):
    """A client's link is cut past its lease while it lands: the other one continues, and the first
    does no harm afterwards."""
    together(
        *landers(trial, trial.clients),
        after(1.5, lambda: cut(trial, trial.clients[0], 2 * OUTAGE_S)),
    )
    trial.met("the cut", trial.slowest > LEASE_S)
    trial.finish()


def cut_often(trial):
    """The same, repeatedly, with kills."""

    def cuts():
        for turn in range(4):
            time.sleep(1)
            cut(trial, trial.clients[turn % 2])

    together(*landers(trial, trial.clients, kills=3, several=1), cuts)
    trial.met("the cut", trial.slowest > LEASE_S)
    trial.finish()


def restart(trial, server):
    """The server is restarted twice: locks are reclaimed."""

    def restarts():
        for _ in range(2):
            time.sleep(2)
            trial.faults += 1
            server.restart()

    together(*landers(trial, trial.clients, kills=2), restarts)
    trial.finish()


def full(trial):
    """The file system is repeatedly full: a short write is truncated, and retried."""
    filler = EXPORT / "filler"

    def fill():
        for _ in range(4):
            time.sleep(1)
            trial.faults += 1
            with open(filler, "wb") as file:
                step = 64 << 20
                while step >= 4096:
                    try:
                        os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, step)
                    except OSError:
                        step //= 2
            time.sleep(4)
            filler.unlink()

    together(*landers(trial, trial.clients, several=1), fill)
    trial.met("the full disk", trial.failed)
    trial.finish()


def follow(trial):
    """`tail -F` and `hiwake cat --follow` read while two clients land; then kills, for `cat`."""
    one, two, reader, other = trial.clients
    open_file = f"/mnt/{trial.root}/app/2022-04-17.csv" + (
        ".zst.open" if trial.form == "compressed" else ".open"
    )
    trial.land(one, ["00"])
    followed, tailed = (open(f"/tmp/{kind}-{trial.root}", "w+b") for kind in ("cat", "tail"))
    options = [
        "--config",
        str(trial.config),
        "--root",
        f"/mnt/{trial.root}",
        "--file",
        "app",
        "--day",
        "2022-04-17",
    ]
    cat = subprocess.Popen(
        other.entered("/nfs/hiwake", "cat", "--follow", *options), stdout=followed
    )
    tail = subprocess.Popen(
        reader.entered("tail", "-s", "0.3", "-n", "+1", "-F", open_file),
        stdout=tailed,
        stderr=subprocess.DEVNULL,
    )
    half = trial.objects[: len(trial.objects) // 2]
    together(*landers(trial, [one, two], objects=half))
    time.sleep(8)
    tail.kill()
    tail.wait()
    tailed.seek(0)
    if trial.form == "plain":
        # It must show what was committed: each line once, in the file's order.
        if tailed.read() != (EXPORT / trial.root / "app/2022-04-17.csv.open").read_bytes():
            trial.torn += 1
            trial.note("tail -F showed something other than the file")
    together(*landers(trial, [one, two], kills=5))
    trial.finish()
    try:
        code = cat.wait(30)
    except subprocess.TimeoutExpired:
        cat.kill()
        code = "none: it did not end when the day was sealed"
    followed.seek(0)
    shown = collections.Counter(followed.read().decode().split("\n")[:-1])
    wanted = {line for line, place in LINES if place == "app/2022-04-17"}
    if code or shown != collections.Counter(wanted):
        trial.lost += len(wanted - shown.keys())
        trial.doubled += sum(count - 1 for count in shown.values())
        trial.note(f"cat --follow: exit code {code}, {sum(shown.values())} lines of {len(wanted)}")


def seal(trial):
    """Two seal while two land late rows, a reader has the files open, and one client verifies."""
    one, two, three, four, five = trial.clients
    trial.land(one, trial.objects[:8])
    opened = subprocess.Popen(
        two.entered(
            "busybox",
            "sh",
            "-c",
            f"exec tail -q -n 1 -f /mnt/{trial.root}/app/*.open /mnt/{trial.root}/web/w/*.open",
        ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def sealing(client):
        for _ in range(8):
            # A quiet hour after every landing: each round has something to seal.
            trial.seal(client, now=AFTER)

    with trial.watched(five):
        together(
            *landers(trial, [one, two], objects=trial.objects[4:], kills=3, now=LATER),
            *[functools.partial(sealing, client) for client in (three, four)],
        )
    opened.kill()
    opened.wait()
    trial.finish()


def rebuild(trial):
    """Damage in an open file, an identity file and a published file; two clients rebuild at once
    while one lands."""
    one, two, three = trial.clients
    trial.land(one, trial.objects[:12])
    for now in "2022-04-18T02:00:00+09:00", AFTER:
        trial.seal(one, now=now)
    trial.land(two, trial.objects[8:14])
    root = EXPORT / trial.root
    sealed = [
        path for path in trial.published_files(trial.root) if path.name.startswith("2022-04-17.csv")
    ]
    hurt = [
        sealed[0],
        next(root.glob("web/w/*.open")),
        root / ".hiwake/days/2022-04-18/app.csv/.seen",
    ]
    for path in hurt:
        trial.faults += 1
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    code, said = trial.hiwake(three, "verify")
    if code != 1 or "WRONG" not in said:
        trial.note("verify did not notice the damage")

    def rebuilding(client):
        for _ in range(20):
            code, said = trial.hiwake(client, "verify", "--rebuild", WORK / "landing")
            if code == 0:
                return
            time.sleep(1)
        trial.note(f"the rebuild has exit code {code}: {said.strip()[-300:]}")

    together(
        *[functools.partial(rebuilding, client) for client in (one, two)], *landers(trial, [three])
    )
    trial.finish()


def stale(trial):
    """The root is replaced by a new one while two land: ESTALE is an error like any other."""
    root, gone = EXPORT / trial.root, EXPORT / f"{trial.root}.gone"

    def replace():
        time.sleep(2)
        trial.faults += 1
        root.rename(gone)
        root.mkdir()
        # A landing that has the old root open may still create files in it.
        while gone.exists():
            shutil.rmtree(gone, ignore_errors=True)

    together(*landers(trial, trial.clients), replace)
    trial.met("the stale root", trial.failed)
    trial.acknowledged.clear()
    trial.published.clear()
    together(*landers(trial, trial.clients))
    trial.finish()


def squash(trial, server):
    """root_squash is switched on: landings fail, say where, and do no harm; then the
    squashed user becomes the root's owner."""
    one, two = trial.clients
    trial.land(one, trial.objects[:4])
    server.squash("root_squash")
    try:
        for client in one, two:
            trial.faults += 1
            said = trial.land(client, again=False)
            if not re.search("[Pp]ermission", said) or ".hiwake" not in said:
                trial.note(f"a landing that was squashed said: {said.strip()[-300:]}")
        run(["chown", "-R", "65534:65534", EXPORT / trial.root])
        together(*landers(trial, trial.clients, kills=4))
        trial.finish()
    finally:
        server.squash("no_root_squash")


def version_4_0(trial):
    """NFSv4.0, whose leases and locks work differently: kills, and a link cut past its lease."""
    for client in trial.clients:
        client.unmount()
        client.mount("4.0")
    try:
        one, two = trial.clients
        together(
            *landers(trial, [one], several=1),
            *landers(trial, [two], kills=8),
            after(1.5, lambda: cut(trial, one)),
        )
        trial.met("the cut", trial.slowest > LEASE_S)
        trial.finish()
    finally:
        for client in trial.clients:
            client.unmount()
            client.mount("4.1")


def reroute(trial):
    """After half of the objects landed, two clients replay all of them under a changed routing."""
    one, two = trial.clients
    trial.land(one, trial.objects[:8])
    trial.last, trial.by_place = WORK / f"{trial.form}-changed.toml", False

    def replaying(client):
        left = 5
        while True:
            kill_after = random.uniform(0.3, 1.5) * trial.usual if left else None
            code, said = trial.hiwake(
                client,
                "replay",
                WORK / "backup",
                config=trial.last,
                kill_after=kill_after,
                now=DURING,
            )
            left -= code is None and left > 0
            if code == 0:
                trial.acknowledged.update(trial.objects)
                return
            # The other client runs the same command.
            time.sleep(0.5)

    together(*[functools.partial(replaying, client) for client in (one, two)])
    trial.finish()


CHANGING = "flock pwrite64 fsync ftruncate linkat renameat unlinkat mkdirat fchmod fchmodat".split()


def lease_lost(trial):
    """A landing and a seal are stopped after each call that changes something, lose their lease,
    and resume."""
    one, two = trial.clients
    for what, verb, begun, meanwhile, now in (
        ("landing", "land", ["small-0"], ["small-1", "small-2"], DURING),
        ("seal", "seal", ["small-2", "small-0", "small-1"], ["small-3"], AFTER),
    ):
        template = f"{trial.root}-{what}"
        trial.land(two, begun, several=1, root=template)
        config = pathlib.Path("/tmp/one-at-a-time.toml")
        config.write_text(trial.config.read_text() + "[limits]\nparallel = 1\n")
        command = ["/nfs/hiwake", verb, "--config", str(config), "--now", now]
        command += [str(WORK / "landing/small-1")] if verb == "land" else []
        command.append("--root")
        copy(template, f"{template}-0")
        traced = one.entered(*tracing("/tmp/calls", ",".join(CHANGING)), *command)
        run([*traced, f"/mnt/{template}-0"], capture_output=True)
        calls = [line.split() for line in pathlib.Path("/tmp/calls").read_text().splitlines()]
        # The first thread makes all changes to the root.
        seen = collections.Counter(
            call.split("(")[0] for pid, call, *_ in calls if pid == calls[0][0]
        )
        places = [(call, nth) for call, count in seen.items() for nth in range(1, count + 1)]
        stopped = []
        for call, nth in places:
            root = f"{template}-{call}-{nth}"
            copy(template, root)
            inject = ["-e", f"inject={call}:signal=SIGSTOP:when={nth}"]
            traced = one.entered(*tracing("/dev/null", call), *inject, *command, f"/mnt/{root}")
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
            child = subprocess.Popen(traced, **pipes)
            stopped.append((root, child, still(child)))
        trial.faults += len([pid for _, _, pid in stopped if pid])
        if not all(pid for _, _, pid in stopped):
            trial.note(f"{what}: {sum(1 for _, _, pid in stopped if not pid)} did not stop")
        print(f"@{template}: {len(stopped)} are stopped", flush=True)
        one.link("down")
        time.sleep(LEASE_S + 1)
        for root, _, _ in stopped:
            if verb == "seal":
                trial.seal(two, root=root)
            trial.land(two, meanwhile, root=root, now=now)
        one.link("up")
        time.sleep(1)
        for _, _, pid in stopped:
            if pid:
                os.kill(pid, signal.SIGCONT)
        for root, child, _ in stopped:
            said, _ = child.communicate()
            if child.returncode not in (0, 1) or b"damage" in said:
                trial.note(f"{root} has exit code {child.returncode}: {said.decode()[-300:]}")
        for root, _, _ in stopped:
            trial.acknowledged = set(begun + meanwhile)
            trial.finish(root=root, objects=begun + meanwhile, rounds=1)
            shutil.rmtree(EXPORT / root)
        for left in template, f"{template}-0":
            shutil.rmtree(EXPORT / left)


def tracing(log, calls):
    return ["strace", "-f", "-qq", "-o", log, "-e", f"trace={calls}"]


def copy(template, root):
    run(["cp", "-a", EXPORT / template, EXPORT / root])


def still(child):
    """Waits until the program that strace runs is stopped. Returns its id."""
    until = time.monotonic() + 30
    seen = 0
    while time.monotonic() < until and child.poll() is None:
        running = pathlib.Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
        # strace also stops it at every call, but only for a moment, and works meanwhile.
        stopped = [pid for pid in running if state(pid) in "tT" and state(child.pid) == "S"]
        seen = seen + 1 if stopped else 0
        if seen == 3:
            return int(stopped[0])
        time.sleep(0.05)
    return None


def state(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return "gone"


SCENARIOS = (
    (lease_lost, 2),
    (kill_2, 3),
    (kill_4, 4),
    (contend_8, 8),
    (cut_once, 2),
    (cut_often, 2),
    (restart, 2),
    (full, 2),
    (follow, 4),
    (seal, 5),
    (rebuild, 3),
    (stale, 2),
    (squash, 2),
    (version_4_0, 2),
    (reroute, 2),
)
