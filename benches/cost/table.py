"""The tables of docs/cost.md: dollars a month, from measured.json (measure.py writes it) and the prices below.

    python3 benches/cost/table.py [--check]   with --check: whether docs/cost.md has these very lines
"""

import contextlib
import io
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
MEASURED = json.loads((HERE / "measured.json").read_text())

DAYS = 30
VOLUMES = (1, 10, 100, 1000)  # GB of log text a day
QUIET = (10, 1000, 10000)  # log groups
FILE_DAYS = 365  # [retention] days
JOURNAL_DAYS = 90  # [seal] journal_days: `seen` is cut then
GZIP = 6  # to one: CloudWatch's envelopes
ROUNDING = 1.5  # Firehose charges records in steps of 5 KB
RECORD = 5e-6  # GB: such a step
EFS_MB_S = 100  # what a function is taken to read and write at, while it is paid for waiting
EFS_MS = 3  # what it is taken to wait for an operation, …
PARALLEL = 8  # … with so many day files at once: limits.parallel
FILE_MIN = 128 * 1024 / 1e9  # GB: what a file in IA or Archive is charged as at least
ARCHIVE_DAYS_MIN = 90  # what it is charged for in Archive at least
CPU_DIRECT = 81  # not ours: Python's 397 ms for 4.9 MB, by a third party

TEXT = MEASURED["text"]
ROWS = MEASURED["rows"] / MEASURED["wire"]  # a share of the envelopes' bytes
LINES = MEASURED["plain"]["landed"]["files"] / TEXT  # labels and quotes included
STATE = (MEASURED["plain"]["landed"]["journals"] + MEASURED["plain"]["landed"]["seen"]) / TEXT
# Files as shares of the text. Open ones: in the smaller of the frames that were measured, of a commit of some 60 KB.
OPEN = {"plain": LINES, "compressed": LINES * max(MEASURED["frames"].values())}
SEALED = {form: MEASURED[form]["sealed"]["files"] / TEXT for form in ("plain", "gzip", "zstd", "compressed")}
WORSE = 1 / 6, 1 / 9  # the same of logs that compress worse: what the targets were set with
CPU = {"transform": MEASURED["transform"]["cpu_s_a_gb"],
       **{("land", form): MEASURED[form]["land"]["cpu_s_a_gb"] for form in ("plain", "compressed")},
       **{("seal", form): MEASURED[form]["seal"]["cpu_s_a_gb"] for form in ("plain", "gzip", "zstd", "compressed")}}

PRICES = {
    "us-east-1": dict(logs=0.50, firehose=0.029, gb_s=0.0000166667, requests=0.20, s3=0.023, glacier=0.004, transition=0.02, put=0.005, get=0.0004,
                      efs=0.30, ia=0.016, tiering=0.01, read=0.03, write=0.06, ia_bursting=0.025, archive=0.008, archiving=0.03, backup=0.05,
                      sqs=0.40, metric=0.30, alarm=0.10, dashboard=3),
    "ap-northeast-1": dict(logs=0.76, firehose=0.036, gb_s=0.0000166667, requests=0.20, s3=0.025, glacier=0.005, transition=0.02, put=0.0047, get=0.00037,
                           efs=0.36, ia=0.0193, tiering=0.012, read=0.036, write=0.072, ia_bursting=0.03, archive=0.0096, archiving=0.036, backup=0.06,
                           sqs=0.40, metric=0.30, alarm=0.10, dashboard=3),
}
# What the second study aimed at, in us-east-1.
WITH_COMPRESSION, WITH_BEST_LEVER = (16, 36, 235, 2200), (16, 32, 200, 2000)
QUIET_MOST = 160  # 1,000 quiet log groups, beside the volume
SAVING = 10  # dollars a month from which on `open = "compressed"` is said to pay


def pipeline(gb, price, form="plain", archive_days=None, bursting=False, files=None):
    """The deployed pipeline: a line a service, in dollars a month. The forms are those of measure.py."""
    month, wire = gb * DAYS, gb * DAYS / GZIP
    objects = max(DAYS * 288, wire * ROWS * 1000 / 64)
    backups = max(DAYS * 96, wire * 1000 / 128)
    batches = max(DAYS * 1440, wire * 1000)
    open_form = "compressed" if form == "compressed" else "plain"
    cpu = lambda what: month * CPU[what] * 1.769  # at 1,769 MB a whole CPU; less memory takes longer and costs the same
    opened, sealed = files or (OPEN[open_form], SEALED[form])
    waiting = month * 1000 / EFS_MB_S
    if bursting:
        earned, spent = credits(gb, opened, sealed)
        assert max(earned, 1.048576e-3 * 86400) > spent
    ia = price["ia_bursting" if bursting else "ia"]
    cold = gb * (sealed * (FILE_DAYS - 2) + STATE * (JOURNAL_DAYS - 2)) * ia
    if archive_days:
        in_archive = sealed * (FILE_DAYS - archive_days) + STATE * max(JOURNAL_DAYS - archive_days, ARCHIVE_DAYS_MIN)
        cold = gb * ((sealed + STATE) * (archive_days - 2) * ia + in_archive * price["archive"]) + month * (sealed + STATE) * price["archiving"]
    return {
        "Firehose, Direct PUT": wire * ROUNDING * price["firehose"],
        "transform function": cpu("transform") * price["gb_s"] + batches / 1e6 * price["requests"],
        "land function": (cpu(("land", open_form)) + waiting * (opened + STATE) * 1.024) * price["gb_s"]
                         + objects / 1e6 * price["requests"],
        "seal function": (cpu(("seal", form)) + waiting * (opened + STATE + sealed) * 1.769) * price["gb_s"],
        "S3 landing/": gb / GZIP * ROWS * 30 * price["s3"] + objects / 1000 * (price["put"] + 4 * price["get"]),
        "S3 backup/, 108 days": gb / GZIP * (7 * price["s3"] + 101 * price["glacier"]) + backups / 1000 * (price["put"] + price["transition"]),
        "EFS, written and read": 0 if bursting else month * ((opened + STATE + sealed) * price["write"] + (opened + STATE) * price["read"]),
        "EFS, 2 days standard": gb * (opened + sealed + 2 * STATE) * price["efs"],
        "EFS, a year in IA": cold + month * (sealed + STATE) * price["tiering"],
        "SQS": 0.65 * price["sqs"],
        "metrics, alarms, dashboard": 24 * price["metric"] + 34 * price["alarm"] + price["dashboard"],
    }


def credits(gb, opened, sealed):
    """GB a day that files in Standard earn, 50 KiB a second for each GiB; and what is spent: writes, and a third of reads."""
    in_standard = gb * (opened + sealed + 2 * STATE)
    return in_standard / 2**30 * 50 * 1024 * 86400, gb * (opened + STATE + sealed + (opened + STATE) / 3)


def total(gb, price, *form, **levers):
    return sum(pipeline(gb, price, *form, **levers).values())


LEVERS = {
    '`open = "compressed"`, `compress = "zstd"`': dict(),
    "… and `archive_days = 30`": dict(archive_days=30),
    '… or `throughput = "bursting"`': dict(bursting=True),
}


def compressed(gb, price):
    return [total(gb, price, "compressed", **lever) for lever in LEVERS.values()]


def quiet(groups, price, commits=288, form="plain"):
    """What quiet log groups cost beside their volume, each with a day file of its own: so many commits a day of a line each."""
    one = MEASURED["quiet"]
    landed, swept = one[form]["land"], one[form]["seal"]
    a_commit, a_file = one["groups"] * one["commits"], one["groups"]
    metered = lambda of, each: (of["metered_written"] * price["write"] + of["metered_read"] * price["read"]) / each / 1e9
    # Closing and retention are taken as another three rounds of sealing.
    month_commits, month_files = groups * commits * DAYS, groups * DAYS
    operations = month_commits * landed["operations"] / a_commit + 2 * month_files * swept["operations"] / a_file
    seconds = operations * EFS_MS / 1000 / PARALLEL
    cpu = month_commits * (one["land_cpu"] + one["transform_cpu"]) / a_commit * 1.769
    # The file, its checksum, its journal, `seen`: 128 KiB each.
    kept = groups * 4 * FILE_MIN
    return {
        "Firehose, a step of 5 KB a record": month_commits * RECORD * price["firehose"],
        "functions": (cpu + seconds * 1.024) * price["gb_s"],
        "EFS, written and read": month_commits * metered(landed, a_commit) + 2 * month_files * metered(swept, a_file),
        "EFS, 2 days standard": groups * 2 * sum(one[form]["sealed"][kind] for kind in ("files", "journals", "seen")) / a_file / 1e9 * price["efs"],
        "EFS, a year in IA": kept * (FILE_DAYS - 2) * price["ia"] + kept * DAYS * price["tiering"],
    }


def quiet_in_bursting():
    """How many quiet log groups spend what a file system earns at least, 1 MiB a second."""
    one = MEASURED["quiet"]
    landed = one["plain"]["land"]
    a_day = (landed["metered_written"] + landed["metered_read"] / 3) / one["groups"] / one["commits"] * 288
    return round((1 << 20) * 86400 / a_day, -2)


def native(gb, price):
    """Firehose's own decompression, to gzip objects of S3: a year there, cold after 90 days."""
    wire = gb * DAYS / GZIP
    objects = max(DAYS * 288, wire * 1000 / 64)
    decompression = gb * DAYS * 0.00325
    return decompression + wire * ROUNDING * price["firehose"] + gb / GZIP * (90 * price["s3"] + 275 * price["glacier"]) + objects / 1000 * (price["put"] + price["transition"])


def direct(gb, price):
    """Firehose's processor appends to EFS itself, and delivers nothing: torn and doubled lines, nothing to replay."""
    month = gb * DAYS
    lambdas = (month * CPU_DIRECT + month * 1000 / EFS_MB_S) * 1.769 * price["gb_s"]
    files = LINES * (gb * 2 * price["efs"] + gb * (FILE_DAYS - 2) * price["ia"] + month * price["tiering"])
    return month / GZIP * ROUNDING * price["firehose"] + lambdas + month * LINES * price["write"] + files


def pays_from(price):
    """GB a day from which on `open = "compressed"` saves so many dollars against zstd at the seal."""
    return next(gb for gb in range(1, 1000) if total(gb, price, "zstd") - total(gb, price, "compressed") >= SAVING)


def crossing(price):
    """GB a day from which on the direct way costs more than compressed files."""
    return next(gb for gb in range(1, 1000) if direct(gb, price) > total(gb, price, "compressed"))


def row(name, values):
    print(f"| {name} | " + " | ".join(money(value) for value in values) + " |")


def money(value):
    return f"{value:,.2f}" if value < 10 else f"{value:,.0f}"


def head(what, columns):
    print(f"\n| {what} | " + " | ".join(f"{column:,}" for column in columns) + " |\n|---|" + "--:|" * len(columns))


def volumes(price):
    head("$ a month, at GB of text a day", VOLUMES)
    row("as deployed: plain files", [total(gb, price) for gb in VOLUMES])
    row('`compress = "gzip"`', [total(gb, price, "gzip") for gb in VOLUMES])
    row('`compress = "zstd"`', [total(gb, price, "zstd") for gb in VOLUMES])
    for name, lever in LEVERS.items():
        row(f"**{name}**" if not lever else name, [total(gb, price, "compressed", **lever) for gb in VOLUMES])
    row("… of logs that compress only 6 : 1 open, 9 : 1 sealed", [total(gb, price, "compressed", files=WORSE) for gb in VOLUMES])
    row("as deployed, with `efs_backups`", [total(gb, price) + gb * LINES * FILE_DAYS * price["backup"] for gb in VOLUMES])
    row("Firehose to S3, nothing of ours", [native(gb, price) for gb in VOLUMES])
    row("Firehose's function to EFS", [direct(gb, price) for gb in VOLUMES])
    row("*CloudWatch Logs, paid before any of these*", [gb * DAYS * price["logs"] for gb in VOLUMES])


def measured():
    """What the packages took, and what came of it."""
    print("\n| | CPU, s a GB of text | CPU, ms a call | memory |\n|---|--:|--:|--:|")
    rows = [("transform", MEASURED["transform"]), ("land", MEASURED["plain"]["land"]), ('land, `open = "compressed"`', MEASURED["compressed"]["land"]),
            ("land, all already landed", MEASURED["plain"]["landed again"]), ("seal", MEASURED["plain"]["seal"]), ('seal, `compress = "gzip"`', MEASURED["gzip"]["seal"]),
            ('seal, `compress = "zstd"`', MEASURED["zstd"]["seal"]), ('seal, `compress = "zstd"` of compressed files', MEASURED["compressed"]["seal"])]
    for name, one in rows:
        print(f"| {name} | {one['cpu_s_a_gb']:.1f} | {one['cpu_ms_a_call']:,.0f} | {one['peak_mib']} MiB |")
    print("\n| bytes for a byte of text | |\n|---|--:|")
    landed, metered = MEASURED["plain"]["landed"], MEASURED["metered"]
    shares = [("envelopes, in gzip", MEASURED["wire"]), ("rows, in zstd", MEASURED["rows"]), ("plain day files: labels and quotes included", landed["files"]),
              ("sealed by gzip", MEASURED["gzip"]["sealed"]["files"]), ("sealed by zstd", MEASURED["zstd"]["sealed"]["files"]),
              ("journals", landed["journals"]), ("`seen`", landed["seen"])]
    for form in ("plain", "compressed"):
        shares += [(f"EFS, {form}: {function} {what}", metered[form][function][key]) for function in ("land", "seal") for what, key in (("writes", "metered_written"), ("reads", "metered_read"))]
    for name, bytes in shares:
        print(f"| {name} | {bytes / TEXT:.4f} |")
    for commit, share in MEASURED["frames"].items():
        print(f"| compressed day files, commits of {int(commit) / 1e3:,.0f} KB | {LINES * share:.4f} |")


def target(what, figure, most):
    print(f"| {what} | ${figure:,.2f} | ≤ ${most:,} | {'reached' if figure <= most else '**missed**'} |")


def main():
    price = PRICES["us-east-1"]
    print("### us-east-1")
    volumes(price)
    for title, form in (("as deployed", "plain"), ('`open = "compressed"`, `compress = "zstd"`', "compressed")):
        head(f"{title}: $ a month, at GB of text a day", VOLUMES)
        columns = [pipeline(gb, price, form) for gb in VOLUMES]
        for name in columns[0]:
            row(name, [one[name] for one in columns])
        row("**all of it**", [sum(one.values()) for one in columns])
    head("$ a month beside the volume, quiet log groups", QUIET)
    columns = [quiet(groups, price) for groups in QUIET]
    for name in columns[0]:
        row(name, [one[name] for one in columns])
    row("**a line every 5 minutes, each in a commit**", [sum(one.values()) for one in columns])
    row("… with `buffer_seconds = 900`: three lines in each", [sum(quiet(groups, price, 96).values()) for groups in QUIET])
    row("a line an hour", [sum(quiet(groups, price, 24).values()) for groups in QUIET])
    row("two alarms on deliveries, billed for each log group", [groups * 2 * price["alarm"] for groups in QUIET])
    measured()
    print("\n### ap-northeast-1")
    volumes(PRICES["ap-northeast-1"])
    print("\n| what, us-east-1 | a month | target | |\n|---|---|---|---|")
    for gb, most, least in zip(VOLUMES, WITH_COMPRESSION, WITH_BEST_LEVER):
        target(f"{gb:,} GB of text a day, compressed", compressed(gb, price)[0], most)
        target(f"{gb:,} GB of text a day, compressed, with the best lever", min(compressed(gb, price)), least)
    target("1,000 quiet log groups, beside the volume", sum(quiet(1000, price).values()), QUIET_MOST)


def said(price):
    """What the text of docs/cost.md says besides."""
    # What two of land's 1,024 MB write.
    seconds = CPU["land", "plain"] * 1.769 / 1.024 + (LINES + STATE) * 1000 / EFS_MB_S
    ten = pipeline(10, price)
    bursting, archived = pipeline(10, price, bursting=True), pipeline(10, price, archive_days=90)
    io, ia = "EFS, written and read", "EFS, a year in IA"
    earned, spent = credits(1, OPEN["plain"], SEALED["plain"])
    of_zstd = pipeline(10, price, "compressed"), pipeline(10, price, "compressed", bursting=True)
    return [
        f"They earn {earned:.0f} GB a day for each GB of text a day; landing and sealing spend {spent:.1f} GB",
        f"`open = \"compressed\"` pays from {pays_from(price)} GB a day on",
        f"2 at once write some {2 * 1000 / seconds:.0f} MB a second",
        f"`archive_days = 90` saves ${money(ten[ia] - archived[ia])} of ${money(ten[ia])} for IA",
        f"At 10 GB a day, bursting saves ${money(ten[io])} and costs ${money(bursting[ia] - ten[ia])} more in IA",
        f"With compressed files it saves ${money(of_zstd[0][io])} and costs ${money(of_zstd[1][ia] - of_zstd[0][ia])} more",
        f"The last one takes some {quiet_in_bursting():,.0f} of them",
        f"At 10 GB a day, one zone saves ${money(ten['EFS, 2 days standard'] * (1 - 0.16 / 0.30))} of Standard's ${money(ten['EFS, 2 days standard'])}",
        f"It costs more than compressed files from {crossing(price)} GB a day on",
        f"at 10 GB a day in us-east-1, ${money(total(10, price))} a month as deployed, and ${money(total(10, price, 'compressed'))} with compression",
        f"A thousand quiet log groups cost ${money(sum(quiet(1000, price).values()))} more",
        f"it is {STATE * 100:.0f} % of the text",
        "with these, 100 and 1,000 GB a day miss theirs by {} and {} % without a lever".format(*(
            round(100 * total(gb, price, "compressed", files=WORSE) / most - 100) for gb, most in zip((100, 1000), WITH_COMPRESSION[2:]))),
    ]


def check():
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        main()
    text = (HERE.parents[1] / "docs/cost.md").read_text()
    page = text.splitlines()
    missing = [line for line in printed.getvalue().splitlines() if line and line not in page]
    missing += [words for words in said(PRICES["us-east-1"]) if words not in text]
    readmes = [(HERE.parents[1] / name).read_text() for name in ("README.md", "README.ja.md")]
    for form in ("plain", "compressed"):
        amount = money(total(10, PRICES["us-east-1"], form))
        missing += [f"README: ${amount} at 10 GB a day" for readme in readmes if amount not in readme]
    if missing:
        raise SystemExit("docs/cost.md is not what benches/cost/table.py says:\n" + "\n".join(missing))


if __name__ == "__main__":
    check() if "--check" in sys.argv else main()
