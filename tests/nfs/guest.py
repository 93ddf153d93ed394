"""Runs in the guest of `make nfs`: all scenarios in both forms, and the round trips."""

import pathlib
import shutil
import sys
import time
import traceback

from machines import EXPORT, LEASE_S, Client, Server
from scenarios import SCENARIOS
from trial import FAILED, HEADS, WORK, Trial
from trips import trips


def table(head, rows):
    print("| " + " | ".join(map(str, head)) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |", flush=True)


def main():
    chosen = (WORK / "chosen").read_text().split()
    forms = [form for form in ("plain", "compressed") if form in chosen] or ["plain", "compressed"]
    names = [name for name in chosen if name not in forms]
    server = Server()
    clients = [Client(number) for number in range(1, 9)]
    # At first the server grants no locks, so that clients from before its start can reclaim theirs.
    time.sleep(LEASE_S)
    exact = True
    trials = [
        (act, count, form)
        for act, count in SCENARIOS
        for form in forms
        if not names or act.__name__ in names
    ]
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
        table(
            ["step", "form", "round trips", "target", "", "on EFS", "of these"],
            [row for form in forms for row in trips(clients[0], form)],
        )
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
