"""What runs in the guest of `make nfs`: a kernel NFS server, its clients, the faults, and the counting.

Every client has a network, a host name and a mount table of its own, so that it is a machine of its own to the
server. The program under test is `hiwake` itself: each command is a process whose id is known, and SIGKILL hits it.
"""

import collections
import contextlib
import functools
import hashlib
import gzip
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback

LEASE_S = 10
OUTAGE_S = 14
EXPORT = pathlib.Path("/export")
WORK = pathlib.Path("/nfs")
OPTIONS = "noresvport,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,nosharecache"
DURING, AFTER, LATER = "2022-04-18T23:00:00+09:00", "2022-04-22T00:00:00+09:00", "2022-04-23T00:00:00+09:00"
COMMAND_LIMIT_S = 240
EVENTS = json.loads((WORK / "events.json").read_text())
LINES = [tuple(line) for line in EVENTS["lines"]]
OBJECTS = EVENTS["objects"]


def run(command, **options):
    return subprocess.run(command.split() if isinstance(command, str) else command, check=True, **options)


class Server:
    """The server, in the guest's first network; `/export` is an ext4 that it shares."""

    def __init__(self):
        run("mke2fs -q -t ext4 -m 0 -E nodiscard,lazy_itable_init=1,lazy_journal_init=1 -F /dev/vda")
        run("busybox mount -t ext4 /dev/vda /export")
        run("ip link set lo up")
        run("ip link add br0 type bridge")
        run("ip addr add 10.9.0.1/24 dev br0")
        run("ip link set br0 up")
        run("busybox mount -t rpc_pipefs none /var/lib/nfs/rpc_pipefs")
        run("busybox mount -t nfsd none /proc/fs/nfsd")
        run("busybox hostname server")
        pathlib.Path("/proc/sys/fs/leases-enable").write_text("0")  # EFS gives no delegations.
        for name in "etab", "rmtab":
            pathlib.Path("/var/lib/nfs", name).touch()
        self.squash("no_root_squash")
        run("nfsdcld")
        run("rpc.mountd -N 2 -N 3")
        self.up()

    def squash(self, how):
        pathlib.Path("/etc/exports").write_text(f"/export *(rw,sync,{how},insecure,no_subtree_check,fsid=0)\n")
        run("exportfs -ra")

    def up(self):
        for name in "nfsv4leasetime", "nfsv4gracetime":
            pathlib.Path("/proc/fs/nfsd", name).write_text(str(LEASE_S))
        run("rpc.nfsd -N 3 -V 4 -V 4.0 -V 4.1 -H 10.9.0.1 8")

    def restart(self):
        run("rpc.nfsd 0")
        self.up()


class Client:
    """A machine that has the export mounted at `/mnt`."""

    def __init__(self, number):
        self.name, self.address = f"c{number}", f"10.9.0.{number + 1}"
        run(f"ip netns add {self.name}")
        run(f"ip link add v{number} type veth peer name eth0 netns {self.name}")
        run(f"ip link set v{number} master br0 up")
        for command in f"addr add {self.address}/24 dev eth0", "link set lo up", "link set eth0 up":
            run(f"ip -n {self.name} {command}")
        held = f"busybox hostname {self.name}; exec sleep 1000000"
        self.holder = subprocess.Popen(["ip", "netns", "exec", self.name, "unshare", "-mu", "busybox", "sh", "-c", held])
        while pathlib.Path(f"/proc/{self.holder.pid}/comm").read_text() != "sleep\n":
            time.sleep(0.05)
        self.mount("4.1")

    def entered(self, *command):
        return ["nsenter", "-t", str(self.holder.pid), "-m", "-u", "-n", *command]

    def mount(self, version):
        options = f"vers={version},{OPTIONS},addr=10.9.0.1,clientaddr={self.address}"
        run(self.entered("busybox", "mount", "-i", "-t", "nfs4", "-o", options, "10.9.0.1:/", "/mnt"))

    def unmount(self):
        run(self.entered("busybox", "umount", "/mnt"))

    def link(self, state):
        run(f"ip link set v{self.name[1:]} {state}")

    def calls(self):
        """How many requests of each kind the client has sent."""
        text = pathlib.Path(f"/proc/{self.holder.pid}/mountstats").read_text()
        mine = text.split(" mounted on /mnt with fstype nfs4")[1]
        counts = dict(re.findall(r"^\s*([A-Z_]+): (\d+) ", mine.split("per-op statistics")[1], re.M))
        return collections.Counter({kind: int(count) for kind, count in counts.items()
                                    if kind not in ("NULL", "EXCHANGE_ID", "SEQUENCE")})


class Trial:
    """One scenario in one form, its root, and what was counted in it."""

    def __init__(self, name, form, clients, objects=None):
        self.name, self.form, self.clients = name, form, clients
        self.root = f"{name}-{form}"
        self.objects = sorted(OBJECTS) if objects is None else objects
        self.config = WORK / f"{form}.toml"
        self.kills = self.faults = self.alarms = self.lost = self.doubled = self.torn = self.changed = 0
        self.slowest, self.usual = 0.0, 1.5
        self.notes, self.published, self.count = [], {}, threading.Lock()
        self.rows, self.by_place = 0, True
        self.acknowledged = set()
        (EXPORT / self.root).mkdir()

    def note(self, text):
        with self.count:
            self.notes.append(text)

    def hiwake(self, client, verb, *arguments, root=None, config=None, kill_after=None, now=None,
               codes=(0, 1)):
        """Runs a command to its end, or kills it. Answers its exit code (None: killed) and what it said."""
        options = ["--config", config or self.config, "--root", f"/mnt/{root or self.root}"]
        options += ["--now", now] if now else []
        command = client.entered("/nfs/hiwake", verb, *map(str, [*options, *arguments]))
        began = time.monotonic()
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            said, _ = child.communicate(timeout=kill_after or COMMAND_LIMIT_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                # Not while it is still nsenter.
                hit = os.readlink(f"/proc/{child.pid}/exe").endswith("hiwake")
                self.kills += hit and kill_after is not None
            child.kill()
            said, _ = child.communicate()
            if kill_after is None:
                self.note(f"{verb} did not end within {COMMAND_LIMIT_S} s")
            return None, said
        took = time.monotonic() - began
        with self.count:
            self.slowest = max(self.slowest, took)
            self.usual = 0.8 * self.usual + 0.2 * min(took, 3)
        if child.returncode not in codes:
            self.note(f"{verb} has exit code {child.returncode}: {said.strip()[-300:]}")
        return child.returncode, said

    def land(self, client, objects=None, kills=0, several=2, root=None, verb="land", config=None, source="landing",
             again=True, now=DURING):
        """Lands objects in an order of its own, as SQS would: what fails or is killed is retried."""
        objects = list(self.objects if objects is None else objects)
        random.Random(f"{client.name}{self.root}").shuffle(objects)
        while objects:
            some, objects = objects[:several], objects[several:]
            paths = [WORK / source / name for name in some]
            until = time.monotonic() + 240
            while True:
                kill_after = random.uniform(0.2, 1.1) * self.usual if kills > 0 else None
                code, said = self.hiwake(client, verb, *paths, root=root, config=config, kill_after=kill_after, now=now)
                kills -= code is None
                if code == 0:
                    self.acknowledged.update(some)
                    break
                if code == 1 and not again:
                    return said
                if time.monotonic() > until:
                    self.note(f"{client.name} could not land {some}: {said.strip()[-300:]}")
                    return said
                time.sleep(0.2)
        return ""

    def seal(self, client, now=AFTER, root=None):
        code, said = self.hiwake(client, "seal", now=now, root=root)
        self.look_at_published(root or self.root)
        return code, said

    @contextlib.contextmanager
    def watched(self, client):
        """Meanwhile a client verifies and asks for the status again and again: what it calls WRONG is false."""
        ended = threading.Event()

        def watch():
            # Before the first landing the answer is "not a root"; from then on it would be wrong.
            while not (EXPORT / self.root / ".hiwake").exists():
                self.hiwake(client, "status", codes=(0, 1, 2))
            while not ended.is_set():
                for verb in "verify", "status":
                    code, said = self.hiwake(client, verb)
                    if code:
                        with self.count:
                            self.alarms += 1
                        self.note(f"{verb}: {said.strip()[-300:]}")
                ended.wait(1)

        watcher = thread(watch)
        try:
            yield
        finally:
            ended.set()
            watcher.join()

    def look_at_published(self, root):
        """Every published file keeps its text from the first look on."""
        for path in self.published_files(root):
            with contextlib.suppress(FileNotFoundError):
                digest = hashlib.sha256(text_of(path)).hexdigest()
                with self.count:
                    if self.published.setdefault(str(path), digest) != digest:
                        self.changed += 1
                        self.notes.append(f"{path} has changed")

    def published_files(self, root):
        files = [path for path in (EXPORT / root).rglob("*") if path.is_file() and ".hiwake" not in path.parts]
        return [path for path in files if path.suffix not in (".open", ".sha256", ".tmp") and path.name[0] != "."]

    def finish(self, root=None, objects=None):
        """Lands what was landed, which changes nothing; seals; counts every line of every file."""
        root, client = root or self.root, self.clients[0]
        objects = sorted(self.objects if objects is None else objects)
        paths = [WORK / "landing" / name for name in objects]
        code, said = self.hiwake(client, "land", *paths, root=root, now=LATER, config=getattr(self, "last", None))
        new = re.search(r"(\d+) new lines", said)
        if code != 0 or not new:
            self.note(f"the last landing has exit code {code}: {said.strip()[-300:]}")
        elif new[1] != "0" and self.acknowledged.issuperset(objects):
            self.lost += int(new[1])
            self.note(f"{new[1]} acknowledged lines were not there")
        for now in AFTER, LATER, "2022-04-25T00:00:00+09:00":
            code, said = self.seal(client, now=now, root=root)
            if code:
                self.note(f"the seal has exit code {code}: {said.strip()[-300:]}")
        code, said = self.hiwake(client, "verify", root=root)
        if code:
            self.note(f"the last verify has exit code {code}: {said.strip()[-400:]}")
        self.count_lines(root, {index for name in objects for index in OBJECTS[name]})

    def count_lines(self, root, expected):
        found = collections.Counter()
        for path in self.published_files(root):
            place = str(path.relative_to(EXPORT / root)).split(".")[0] if self.by_place else ""
            found.update((line, place) for line in text_of(path).decode(errors="replace").split("\n")[:-1])
            checksum, name = path.with_name(path.name + ".sha256").read_text().split()
            if hashlib.sha256(path.read_bytes()).hexdigest() != checksum or name != path.name:
                self.note(f"{path} does not have its checksum")
        wanted = {(LINES[index][0], LINES[index][1] if self.by_place else "") for index in expected}
        self.rows += len(wanted)
        self.lost += sum(1 for line in wanted if line not in found)
        self.doubled += sum(count - 1 for line, count in found.items() if line in wanted)
        wrong = [line for line in found if line not in wanted]
        self.torn += len(wrong)
        if wrong:
            self.note(f"not a line that was landed: {wrong[:2]}")
        stray = [path for path in (EXPORT / root).rglob("*") if path.suffix in (".open", ".tmp") or ".nfs" in path.name]
        if stray:
            self.note(f"left behind: {[str(path) for path in stray[:3]]}")

    @property
    def exact(self):
        return not (self.lost or self.doubled or self.torn or self.alarms or self.changed or self.notes)

    def row(self):
        return [self.name, self.form, len(self.clients), self.rows, self.kills, self.faults, self.lost, self.doubled,
                self.torn, self.changed, self.alarms, f"{self.slowest:.1f} s"]


HEADS = ("scenario", "form", "clients", "rows", "kills", "faults", "lost", "doubled", "torn", "changed",
         "false alarms", "slowest call")


def text_of(path):
    data = path.read_bytes()
    return run(["zstd", "-dcq"], input=data, capture_output=True).stdout if ".zst" in path.suffixes else data


def thread(act, *arguments):
    def guarded():
        try:
            act(*arguments)
        except BaseException:
            FAILED.append(traceback.format_exc())
    started = threading.Thread(target=guarded)
    started.start()
    return started


FAILED = []


def together(*acts):
    for started in [thread(act) for act in acts]:
        started.join()


def landers(trial, clients, **options):
    return [functools.partial(trial.land, client, **options) for client in clients]


def after(seconds, act):
    def act_later():
        time.sleep(seconds)
        act()
    return act_later


# Scenarios: each makes a mess of its own in a fresh root, and ends with everything exact.

def kill_2(trial):
    """SIGKILL at any moment, two clients: a kill frees the locks and leaves torn tails.

    One client that only reads looks on, and one that lands: it may keep old pages of what it has open."""
    with trial.watched(trial.clients[2]), trial.watched(trial.clients[0]):
        together(*landers(trial, trial.clients[:2], kills=12))
    trial.finish()


def kill_4(trial):
    """The same, four clients."""
    together(*landers(trial, trial.clients, kills=6))
    trial.finish()


def contend_8(trial):
    """Eight clients land the same objects at once: flock excludes."""
    together(*landers(trial, trial.clients, several=4))
    trial.finish()


def cut(trial, client, seconds=OUTAGE_S):
    trial.faults += 1
    client.link("down")
    time.sleep(seconds)
    client.link("up")


def cut_once(trial):
    """A client's link is cut past its lease while it lands: the others continue, and it does no harm afterwards."""
    together(*landers(trial, trial.clients), after(1.5, lambda: cut(trial, trial.clients[0], 2 * OUTAGE_S)))
    trial.finish()


def cut_often(trial):
    """The same, again and again, with kills."""
    def cuts():
        for turn in range(4):
            time.sleep(1)
            cut(trial, trial.clients[turn % 2])
    together(*landers(trial, trial.clients, kills=3, several=1), cuts)
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
    """The file system is full again and again: what is cut short is cut back, and retried."""
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
    trial.finish()


def follow(trial):
    """`tail -F` and `hiwake cat --follow` on other clients while two land, and then, for `cat`, kills."""
    one, two, reader, other = trial.clients
    open_file = f"/mnt/{trial.root}/app/2022-04-17.csv" + (".zst.open" if trial.form == "compressed" else ".open")
    trial.land(one, ["00"])
    followed, tailed = (open(f"/tmp/{kind}-{trial.root}", "w+b") for kind in ("cat", "tail"))
    options = ["--config", str(trial.config), "--root", f"/mnt/{trial.root}", "--file", "app", "--day", "2022-04-17"]
    cat = subprocess.Popen(other.entered("/nfs/hiwake", "cat", "--follow", *options), stdout=followed)
    tail = subprocess.Popen(reader.entered("tail", "-s", "0.3", "-n", "+1", "-F", open_file), stdout=tailed,
                            stderr=subprocess.DEVNULL)
    half = trial.objects[:len(trial.objects) // 2]
    together(*landers(trial, [one, two], objects=half))
    time.sleep(8)
    tail.kill()
    tail.wait()
    tailed.seek(0)
    if trial.form == "plain":
        # What was committed, each line once, in the file's order.
        if tailed.read() != (EXPORT / trial.root / "app/2022-04-17.csv.open").read_bytes():
            trial.torn += 1
            trial.note("tail -F showed something else than the file")
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
    """Everybody seals while rows arrive late, readers have the files open, and one client verifies."""
    one, two, three, four, five = trial.clients
    trial.land(one, trial.objects[:8])
    opened = subprocess.Popen(two.entered("busybox", "sh", "-c", f"exec tail -q -n 1 -f /mnt/{trial.root}/app/*.open "
                                          f"/mnt/{trial.root}/web/w/*.open"),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def sealing(client):
        for _ in range(8):
            # A quiet hour after every landing: each round has something to seal.
            trial.seal(client, now=AFTER)
    with trial.watched(five):
        together(*landers(trial, [one, two], objects=trial.objects[4:], kills=3, now=LATER),
                 *[functools.partial(sealing, client) for client in (three, four)])
    opened.kill()
    opened.wait()
    trial.finish()


def rebuild(trial):
    """Damage in an open file, an identity file and a published file; two clients rebuild at once, one lands."""
    one, two, three = trial.clients
    trial.land(one, trial.objects[:12])
    for now in "2022-04-18T02:00:00+09:00", AFTER:
        trial.seal(one, now=now)
    trial.land(two, trial.objects[8:14])
    root = EXPORT / trial.root
    hurt = [next(root.glob("app/2022-04-17.csv*[!6]")), next(root.glob("web/w/*.open")),
            root / ".hiwake/days/2022-04-18/app.csv/.seen"]
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
    together(*[functools.partial(rebuilding, client) for client in (one, two)], *landers(trial, [three]))
    trial.finish()


def stale(trial):
    """The root is removed and made again while two land: ESTALE is an error like any other."""
    root, gone = EXPORT / trial.root, EXPORT / f"{trial.root}.gone"

    def replace():
        time.sleep(2)
        trial.faults += 1
        root.rename(gone)
        root.mkdir()
        shutil.rmtree(gone)
    together(*landers(trial, trial.clients), replace)
    trial.acknowledged.clear()
    trial.published.clear()
    together(*landers(trial, trial.clients))
    trial.finish()


def squash(trial, server):
    """root_squash is switched on while two land: they fail, say where, and do no harm; then the root is theirs."""
    one, two = trial.clients
    trial.land(one, trial.objects[:4])
    server.squash("root_squash")
    try:
        for client in one, two:
            trial.faults += 1
            said = trial.land(client, again=False)
            if not re.search("[Pp]ermission", said) or trial.root not in said and "messages" not in said:
                trial.note(f"a landing that was squashed said: {said.strip()[-300:]}")
        run(["chown", "-R", "65534:65534", EXPORT / trial.root])
        together(*landers(trial, trial.clients, kills=4))
        trial.finish()
    finally:
        server.squash("no_root_squash")


def version_4_0(trial):
    """NFSv4.0, whose leases and locks work otherwise: kills, and a link cut past its lease."""
    for client in trial.clients:
        client.unmount()
        client.mount("4.0")
    try:
        together(*landers(trial, trial.clients, kills=4), after(2, lambda: cut(trial, trial.clients[0])))
        trial.finish()
    finally:
        for client in trial.clients:
            client.unmount()
            client.mount("4.1")


def reroute(trial):
    """Half of the objects landed; two clients replay all of them where the configuration sends them now."""
    one, two = trial.clients
    trial.land(one, trial.objects[:8])
    trial.last, trial.by_place = WORK / f"{trial.form}-changed.toml", False

    def replaying(client):
        left = 5
        while True:
            kill_after = random.uniform(0.3, 1.5) * trial.usual if left else None
            code, said = trial.hiwake(client, "replay", WORK / "backup", config=trial.last, kill_after=kill_after,
                                      now=DURING)
            left -= code is None and left > 0
            if code == 0:
                trial.acknowledged.update(trial.objects)
                return
            # Another one runs the same command.
            time.sleep(0.5)
    together(*[functools.partial(replaying, client) for client in (one, two)])
    trial.finish()


CHANGING = "flock pwrite64 fsync ftruncate linkat renameat unlinkat mkdirat fchmod fchmodat".split()


def lease_lost(trial):
    """A landing and a seal stand still after each call that changes something, lose their lease, and resume."""
    one, two = trial.clients
    for what, verb, begun, meanwhile, now in (
            ("landing", "land", ["00"], ["01", "02"], DURING), ("seal", "seal", ["02", "00", "01"], ["03"], AFTER)):
        template = f"{trial.root}-{what}"
        trial.land(two, begun, several=1, root=template)
        arguments = ["--config", str(trial.config), "--now", now] + ([str(WORK / "landing/01")] if verb == "land" else [])
        places = []
        command = ["/nfs/hiwake", verb, *arguments, "--root"]
        copy(template, f"{template}-0")
        traced = subprocess.run(one.entered("strace", "-f", "-qq", "-e", f"trace={','.join(CHANGING)}", *command,
                                            f"/mnt/{template}-0"), capture_output=True, text=True)
        seen = collections.Counter(re.findall(rf"({'|'.join(CHANGING)})\(", traced.stderr))
        for call, count in seen.items():
            places += [(call, nth) for nth in range(1, count + 1)]
        stopped = []
        for call, nth in places:
            root = f"{template}-{call}-{nth}"
            copy(template, root)
            inject = ["-e", f"trace={call}", "-e", f"inject={call}:signal=SIGSTOP:when={nth}"]
            child = subprocess.Popen(one.entered("strace", "-f", "-qq", "-o", f"/tmp/{root}", *inject, *command,
                                                 f"/mnt/{root}"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            stopped.append((root, child, still(child)))
        trial.faults += len([pid for _, _, pid in stopped if pid])
        if not all(pid for _, _, pid in stopped):
            trial.note(f"{what}: {sum(1 for _, _, pid in stopped if not pid)} did not stand still")
        one.link("down")
        time.sleep(LEASE_S + 1)
        for root, _, _ in stopped:
            if verb == "seal":
                trial.seal(two, root=root)
            trial.land(two, meanwhile, root=root, now=now)
        one.link("up")
        time.sleep(1)
        for root, child, pid in stopped:
            if pid:
                os.kill(pid, signal.SIGCONT)
        for root, child, pid in stopped:
            said, _ = child.communicate()
            if child.returncode not in (0, 1) or b"damage" in said:
                trial.note(f"{root} has exit code {child.returncode}: {said.decode()[-300:]}")
        for root, _, _ in stopped:
            trial.acknowledged = set(begun + meanwhile)
            trial.finish(root=root, objects=begun + meanwhile)
            shutil.rmtree(EXPORT / root)
        for left in template, f"{template}-0":
            shutil.rmtree(EXPORT / left)


def copy(template, root):
    run(["cp", "-a", EXPORT / template, EXPORT / root])


def still(child):
    """Waits until the program that strace runs stands still; answers its id."""
    until = time.monotonic() + 30
    while time.monotonic() < until and child.poll() is None:
        tasks = pathlib.Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
        for pid in tasks:
            with contextlib.suppress(OSError):
                # Stopped by the signal, not by strace: strace itself sleeps meanwhile.
                state = re.search(r"^State:\t(\S)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1]
                asleep = re.search(r"^State:\t(\S)", pathlib.Path(f"/proc/{child.pid}/status").read_text(), re.M)[1]
                if state in "tT" and asleep == "S":
                    time.sleep(0.1)
                    if pathlib.Path(f"/proc/{pid}/wchan").exists():
                        return int(pid)
        time.sleep(0.05)
    return None


def trips(client, form):
    """Counts the requests of each step from the client's mountstats."""
    folder = EXPORT / f"trips-{form}"
    for root in "r1", "r2":
        (folder / root).mkdir(parents=True)
    sources = {"messages": "/var/log/messages", "other": "other", "third": "third"}
    config = "".join(f'[[source]]\nlog_groups = ["{group}"]\nfile = "{file}"\n' for file, group in sources.items())
    settings = pathlib.Path(f"/tmp/trips-{form}.toml")
    settings.write_text(config + (WORK / f"{form}.toml").read_text().split('"HOGE"]')[-1])

    def made(name, rows):
        path = pathlib.Path(f"/tmp/{name}")
        with open(path, "w") as file:
            for kind, numbers in rows.items():
                for number in numbers:
                    stream = f"1:{sources[kind]}:s"
                    file.write(json.dumps({"file": kind, "kind": "csv", "day": "2022-04-18",
                                           "timestamp": 1650207600000 + number, "stream": stream, "id": str(number),
                                           "line": f"line {number}"}) + "\n")
        return path
    one = made("one", {"messages": range(20)})
    two = made("two", {"messages": range(20, 40)})
    wide = made("wide", {"messages": range(10, 60, 3)})
    new = made("new", {"other": range(5), "third": range(5)})
    three = made("three", {kind: range(100, 105) for kind in sources})
    during, after_it = DURING, "2022-04-19T03:00:00+09:00"
    for what, verb, root, now, argument, target in (
            ("new day in a fresh root", "land", "r1", during, one, 72),
            ("commit into a day that is there", "land", "r1", during, two, 34),
            ("a commit that overlaps others", "land", "r1", during, wide, None),
            ("all rows known already", "land", "r1", during, two, 22),
            ("two further day files, new", "land", "r1", during, new, None),
            ("commit into three day files", "land", "r1", during, three, 90),
            ("round with nothing due, three open day files", "seal", "r1", during, None, None),
            ("seal of three, one by merge", "seal", "r1", after_it, None, None),
            ("new day in a second root", "land", "r2", during, one, 72),
            ("round with nothing due, one open day file", "seal", "r2", during, None, 16),
            ("commit", "land", "r2", during, wide, 34),
            ("commit", "land", "r2", during, two, 34),
            ("seal by merge, the first of its root", "seal", "r2", after_it, None, 82)):
        arguments = [verb, "--config", settings, "--now", now, "--root", f"/mnt/{folder.name}/{root}"]
        arguments += [argument] if argument else []
        before = client.calls()
        done = subprocess.run(client.entered("/nfs/hiwake", *map(str, arguments)), capture_output=True, text=True)
        sent = client.calls() - before
        kinds = ", ".join(f"{kind.lower()} {count}" for kind, count in sent.most_common())
        total, aim = sum(sent.values()), f"≤ {target}" if target else ""
        verdict = "" if not target else "reached" if total <= target else "**missed**"
        if done.returncode:
            FAILED.append(f"{what}: {done.stderr}")
        yield [what, form, total, aim, verdict, kinds]


def table(head, rows):
    print("| " + " | ".join(map(str, head)) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |", flush=True)


SCENARIOS = (
    (kill_2, 3), (kill_4, 4), (contend_8, 8), (cut_once, 2), (cut_often, 2), (restart, 2), (full, 2), (follow, 4),
    (seal, 5), (rebuild, 3), (stale, 2), (squash, 2), (version_4_0, 2), (reroute, 2), (lease_lost, 2))


def main():
    chosen = (WORK / "chosen").read_text().split()
    forms = [form for form in ("plain", "compressed") if form in chosen] or ["plain", "compressed"]
    names = [name for name in chosen if name not in forms]
    server = Server()
    clients = [Client(number) for number in range(1, 9)]
    # The server takes no locks at first: clients of before its start could reclaim theirs.
    time.sleep(LEASE_S)
    exact = True
    trials = [(act, count, form) for act, count in SCENARIOS for form in forms
              if not names or act.__name__ in names]
    table(HEADS, [])
    for act, count, form in trials:
        trial = Trial(act.__name__, form, clients[:count])
        began = time.monotonic()
        try:
            act(trial, *([server] if act.__code__.co_argcount > 1 else []))
        except BaseException:
            FAILED.append(traceback.format_exc())
        faults, FAILED[:] = list(FAILED), []
        print("| " + " | ".join(map(str, trial.row())) + " |")
        for note in trial.notes + faults:
            print(f"  {trial.root}: {note}")
        sys.stdout.flush()
        print(f"@{trial.root}: {time.monotonic() - began:.0f} s", flush=True)
        exact &= trial.exact and not faults
        shutil.rmtree(EXPORT / trial.root, ignore_errors=True)
    if not names or "trips" in names:
        print()
        table(["step", "form", "round trips", "target", "", "of these"],
              [row for form in forms for row in trips(clients[0], form)])
        exact &= not FAILED
    print("\n".join(FAILED))
    print("every row is in exactly one line" if exact and not FAILED else "NOT exact")
    print("@exact" if exact and not FAILED else "@wrong", flush=True)


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        print(traceback.format_exc(), flush=True)
    finally:
        time.sleep(0.5)
        pathlib.Path("/proc/sysrq-trigger").write_text("o")
        time.sleep(5)
