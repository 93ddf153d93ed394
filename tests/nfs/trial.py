"""One scenario in one form: its root, its commands, its faults, and the count of every line.

The program under test is `hiwake` itself: each command is a process whose id is known, so SIGKILL
hits it.
"""

import collections
import contextlib
import hashlib
import json
import os
import pathlib
import random
import re
import subprocess
import threading
import time
import traceback

from machines import EXPORT, run

WORK = pathlib.Path("/nfs")
DURING, AFTER, LATER = (
    "2022-04-18T23:00:00+09:00",
    "2022-04-22T00:00:00+09:00",
    "2022-04-23T00:00:00+09:00",
)
COMMAND_LIMIT_S = 240
EVENTS = json.loads((WORK / "events.json").read_text())
LINES = [tuple(line) for line in EVENTS["lines"]]
OBJECTS = EVENTS["objects"]


class Trial:
    """One scenario in one form, its root, and what was counted in it."""

    def __init__(self, name, form, clients):
        self.name, self.form, self.clients = name, form, clients
        self.root = f"{name}-{form}"
        self.objects = [name for name in sorted(OBJECTS) if "small" not in name]
        self.config = WORK / f"{form}.toml"
        self.failed = self.kills = self.faults = self.alarms = self.lost = self.doubled = (
            self.torn
        ) = self.changed = 0
        self.slowest, self.usual = 0.0, 1.5
        self.notes, self.published, self.count = [], {}, threading.Lock()
        self.rows, self.by_place = 0, True
        self.acknowledged = set()
        (EXPORT / self.root).mkdir()

    def note(self, text):
        with self.count:
            self.notes.append(text)

    def hiwake(
        self,
        client,
        verb,
        *arguments,
        root=None,
        config=None,
        kill_after=None,
        now=None,
        codes=(0, 1),
    ):
        """Runs a command to its end, or kills it. Returns its exit code (None: killed) and its
        output."""
        options = ["--config", config or self.config, "--root", f"/mnt/{root or self.root}"]
        options += ["--now", now] if now else []
        command = client.entered("/nfs/hiwake", verb, *map(str, [*options, *arguments]))
        began = time.monotonic()
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            said, _ = child.communicate(timeout=kill_after or COMMAND_LIMIT_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                # A kill counts only if nsenter has already become hiwake.
                hit = os.readlink(f"/proc/{child.pid}/exe").endswith("hiwake")
                self.kills += hit and kill_after is not None
            where = stacks(child.pid) if kill_after is None else ""
            child.kill()
            said, _ = child.communicate()
            if kill_after is None:
                self.note(f"{verb} did not end within {COMMAND_LIMIT_S} s: {where}")
            return None, said
        took = time.monotonic() - began
        with self.count:
            self.slowest = max(self.slowest, took)
            self.usual = 0.8 * self.usual + 0.2 * min(took, 3)
        if child.returncode not in codes:
            self.note(f"{verb} has exit code {child.returncode}: {said.strip()[-300:]}")
        return child.returncode, said

    def land(
        self,
        client,
        objects=None,
        kills=0,
        several=2,
        root=None,
        verb="land",
        config=None,
        source="landing",
        again=True,
        now=DURING,
    ):
        """Lands objects in random order, as SQS delivers them. Retries what fails or is killed."""
        objects = list(self.objects if objects is None else objects)
        random.Random(f"{client.name}{self.root}").shuffle(objects)
        while objects:
            some, objects = objects[:several], objects[several:]
            paths = [WORK / source / name for name in some]
            until = time.monotonic() + 240
            while True:
                kill_after = random.uniform(0.2, 1.1) * self.usual if kills > 0 else None
                code, said = self.hiwake(
                    client, verb, *paths, root=root, config=config, kill_after=kill_after, now=now
                )
                kills -= code is None
                if code == 0:
                    self.acknowledged.update(some)
                    break
                self.failed += code == 1
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
        """Meanwhile a client repeats `verify` and `status`, which must find nothing wrong."""
        ended = threading.Event()

        def watch():
            # Before the first landing the answer is "not a root"; after it, that would be wrong.
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

    def met(self, fault, was_met):
        """Notes a fault that no command met, because it proves nothing."""
        if not was_met:
            self.note(f"no command met {fault}")

    def look_at_published(self, root):
        """Notes a published file whose text differs from the first look."""
        for path in self.published_files(root):
            with contextlib.suppress(FileNotFoundError):
                digest = hashlib.sha256(text_of(path)).hexdigest()
                with self.count:
                    if self.published.setdefault(str(path), digest) != digest:
                        self.changed += 1
                        self.notes.append(f"{path} has changed")

    def published_files(self, root):
        files = [
            path
            for path in (EXPORT / root).rglob("*")
            if path.is_file() and ".hiwake" not in path.parts
        ]
        return [
            path
            for path in files
            if path.suffix not in (".open", ".sha256", ".tmp") and path.name[0] != "."
        ]

    def finish(self, root=None, objects=None, rounds=2):
        """Lands all again, which must change nothing; seals; counts every line of every file."""
        root, client = root or self.root, self.clients[0]
        objects = sorted(self.objects if objects is None else objects)
        paths = [WORK / "landing" / name for name in objects]
        code, said = self.hiwake(
            client, "land", *paths, root=root, now=LATER, config=getattr(self, "last", None)
        )
        new = re.search(r"(\d+) new lines?", said)
        if code != 0 or not new:
            self.note(f"the last landing has exit code {code}: {said.strip()[-300:]}")
        elif new[1] != "0" and self.acknowledged.issuperset(objects):
            self.lost += int(new[1])
            self.note(f"{new[1]} acknowledged lines were missing")
        for _ in range(rounds):
            code, said = self.seal(client, now="2022-04-25T00:00:00+09:00", root=root)
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
            found.update(
                (line, place) for line in text_of(path).decode(errors="replace").split("\n")[:-1]
            )
            checksum, name = path.with_name(path.name + ".sha256").read_text().split()
            if hashlib.sha256(path.read_bytes()).hexdigest() != checksum or name != path.name:
                self.note(f"{path} does not match its checksum")
        wanted = {(LINES[index][0], LINES[index][1] if self.by_place else "") for index in expected}
        self.rows += len(wanted)
        self.lost += sum(1 for line in wanted if line not in found)
        self.doubled += sum(count - 1 for line, count in found.items() if line in wanted)
        wrong = [line for line in found if line not in wanted]
        self.torn += len(wrong)
        if wrong:
            self.note(f"these lines never landed: {wrong[:2]}")
        stray = [
            path
            for path in (EXPORT / root).rglob("*")
            if (path.suffix in (".open", ".tmp") or ".nfs" in path.name)
            and "damaged" not in path.parts
        ]
        if stray:
            self.note(f"left behind: {[str(path) for path in stray[:3]]}")

    @property
    def exact(self):
        return not (
            self.lost or self.doubled or self.torn or self.alarms or self.changed or self.notes
        )

    def row(self):
        return [
            self.name,
            self.form,
            len(self.clients),
            self.rows,
            self.kills,
            self.faults,
            self.lost,
            self.doubled,
            self.torn,
            self.changed,
            self.alarms,
            f"{self.slowest:.1f} s",
        ]


HEADS = (
    "scenario",
    "form",
    "clients",
    "rows",
    "kills",
    "faults",
    "lost",
    "doubled",
    "torn",
    "changed",
    "false alarms",
    "slowest call",
)


def stacks(pid):
    """The kernel stacks of a process's threads, which show where they wait."""
    with contextlib.suppress(OSError):
        found = pathlib.Path(f"/proc/{pid}/task").glob("*/stack")
        return [stack.read_text().split("\n")[:6] for stack in found]
    return []


def text_of(path):
    data = path.read_bytes()
    return (
        run(["zstd", "-dcq"], input=data, capture_output=True).stdout
        if ".zst" in path.suffixes
        else data
    )


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
