"""Counts the requests of each step from the client's mountstats."""

import json
import pathlib
import subprocess

from machines import EXPORT
from trial import DURING, FAILED, WORK

# Requests that change files wait for storage; those that open, lock or close may or may not.
STORED = {"WRITE", "COMMIT", "SETATTR", "CREATE", "LINK", "RENAME", "REMOVE"}
STATE = {"OPEN", "OPEN_NOATTR", "CLOSE", "LOCK", "LOCKU", "FREE_STATEID", "TEST_STATEID"}
READ_MS, STORE_MS = 0.25, 2.7


def on_efs(sent):
    """The least and most time that the requests take in turn at EFS's published latencies."""
    stored, state = (
        sum(count for kind, count in sent.items() if kind in kinds) for kinds in (STORED, STATE)
    )
    rest = sum(sent.values()) - stored - state
    least = STORE_MS * stored + READ_MS * (state + rest)
    return f"{least:.0f} to {least + (STORE_MS - READ_MS) * state:.0f} ms"


def trips(client, form):
    """Counts the requests of each step from the client's mountstats."""
    folder = EXPORT / f"trips-{form}"
    for root in "r1", "r2":
        (folder / root).mkdir(parents=True)
    sources = {"messages": "/var/log/messages", "other": "other", "third": "third"}
    config = "".join(
        f'[[source]]\nlog_groups = ["{group}"]\nfile = "{file}"\n'
        for file, group in sources.items()
    )
    settings = pathlib.Path(f"/tmp/trips-{form}.toml")
    settings.write_text(config + (WORK / f"{form}.toml").read_text().split('"HOGE"]')[-1])

    def made(name, rows):
        path = pathlib.Path(f"/tmp/{name}")
        with open(path, "w") as file:
            for kind, numbers in rows.items():
                for number in numbers:
                    stream = f"1:{sources[kind]}:s"
                    file.write(
                        json.dumps(
                            {
                                "file": kind,
                                "kind": "csv",
                                "day": "2022-04-18",
                                "timestamp": 1650207600000 + number,
                                "stream": stream,
                                "id": str(number),
                                "line": f"line {number}",
                            }
                        )
                        + "\n"
                    )
        return path

    one = made("one", {"messages": range(20)})
    two = made("two", {"messages": range(20, 40)})
    wide = made("wide", {"messages": range(10, 60, 3)})
    new = made("new", {"other": range(5), "third": range(5)})
    three = made("three", {kind: range(100, 105) for kind in sources})
    during, after_it = DURING, "2022-04-19T03:00:00+09:00"
    for what, verb, root, now, argument, target in (
        ("new day in a fresh root", "land", "r1", during, one, 72),
        ("commit into an existing day", "land", "r1", during, two, 34),
        ("a commit that overlaps others", "land", "r1", during, wide, None),
        ("all rows already landed", "land", "r1", during, two, 22),
        ("two more new day files", "land", "r1", during, new, None),
        ("commit into three day files", "land", "r1", during, three, 90),
        ("round with nothing due, three open day files", "seal", "r1", during, None, None),
        ("seal of three, one by merge", "seal", "r1", after_it, None, None),
        ("new day in a second root", "land", "r2", during, one, 72),
        ("round with nothing due, one open day file", "seal", "r2", during, None, 16),
        ("commit", "land", "r2", during, wide, 34),
        ("commit", "land", "r2", during, two, 34),
        ("seal by merge, the first of its root", "seal", "r2", after_it, None, 82),
    ):
        arguments = [
            verb,
            "--config",
            settings,
            "--now",
            now,
            "--root",
            f"/mnt/{folder.name}/{root}",
        ]
        arguments += [argument] if argument else []
        before = client.calls()
        done = subprocess.run(
            client.entered("/nfs/hiwake", *map(str, arguments)), capture_output=True, text=True
        )
        sent = client.calls() - before
        kinds = ", ".join(f"{kind.lower()} {count}" for kind, count in sent.most_common())
        total, aim = sum(sent.values()), f"≤ {target}" if target else ""
        verdict = "" if not target else "reached" if total <= target else "**missed**"
        if done.returncode:
            FAILED.append(f"{what}: {done.stderr}")
        yield [what, form, total, aim, verdict, on_efs(sent), kinds]
