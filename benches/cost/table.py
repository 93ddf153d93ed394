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
VOLUMES = (1, 10, 100, 1000)  # GB of log text a day: those of the targets
SHOWN = (("us-east-1", 1), ("us-east-1", 10), ("us-east-1", 100), ("ap-northeast-1", 10))  # the columns of the page
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
        "Firehose": wire * ROUNDING * price["firehose"],
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
        "metrics, alarms": 24 * price["metric"] + 34 * price["alarm"] + price["dashboard"],
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
    print(f"|{name}|" + "|".join(money(value) for value in values) + "|")


def money(value):
    return f"{value:,.2f}" if value < 10 else f"{value:,.0f}"


def head(what, columns):
    print(f"\n|{what}|" + "|".join(columns) + "|\n|---|" + "--:|" * len(columns))


def volumes():
    head("$ a month, GB of text a day", [f"{gb}" if region == "us-east-1" else f"Tokyo {gb}" for region, gb in SHOWN])
    each = lambda name, of: row(name, [of(gb, PRICES[region]) for region, gb in SHOWN])
    each("as deployed: plain files", total)
    each('`compress = "gzip"`', lambda gb, price: total(gb, price, "gzip"))
    each('`compress = "zstd"`', lambda gb, price: total(gb, price, "zstd"))
    for name, lever in LEVERS.items():
        each(f"**{name}**" if not lever else name, lambda gb, price: total(gb, price, "compressed", **lever))
    each("… logs that compress only 6 : 1 open, 9 : 1 sealed", lambda gb, price: total(gb, price, "compressed", files=WORSE))
    each("as deployed, with `efs_backups`", lambda gb, price: total(gb, price) + gb * LINES * FILE_DAYS * price["backup"])
    each("Firehose to S3 alone", native)
    each("Firehose's function to EFS", direct)
    each("*CloudWatch Logs itself*", lambda gb, price: gb * DAYS * price["logs"])


def measured():
    """What the packages took, and what came of it."""
    head("measured", ("CPU, s a GB", "ms a call", "MiB"))
    rows = [("transform", MEASURED["transform"]), ("land", MEASURED["plain"]["land"]), ("land, compressed", MEASURED["compressed"]["land"]),
            ("land, all already landed", MEASURED["plain"]["landed again"]), ("seal", MEASURED["plain"]["seal"]), ("seal, gzip", MEASURED["gzip"]["seal"]),
            ("seal, zstd", MEASURED["zstd"]["seal"]), ("seal, zstd, of compressed files", MEASURED["compressed"]["seal"])]
    for name, one in rows:
        print(f"|{name}|{one['cpu_s_a_gb']:.1f}|{one['cpu_ms_a_call']:,.0f}|{one['peak_mib']}|")
    head("bytes for a byte of text", ("",))
    landed = MEASURED["plain"]["landed"]
    shares = [("envelopes, gzip", MEASURED["wire"]), ("rows, zstd", MEASURED["rows"]), ("plain day files", landed["files"]),
              ("sealed, gzip", MEASURED["gzip"]["sealed"]["files"]), ("sealed, zstd", MEASURED["zstd"]["sealed"]["files"]),
              ("open, compressed", OPEN["compressed"] * TEXT), ("journals and `.seen`", STATE * TEXT)]
    for name, bytes in shares:
        print(f"|{name}|{bytes / TEXT:.3f}|")


def aimed(figure, most):
    return f"${figure:,.2f} (≤ ${most:,}{'' if figure <= most else ', **missed**'})"


def main():
    price = PRICES["us-east-1"]
    volumes()
    head("10 GB a day, us-east-1", ("as deployed", "compressed"))
    columns = [pipeline(10, price, form) for form in ("plain", "compressed")]
    for name in columns[0]:
        row(name, [one[name] for one in columns])
    head("1,000 quiet log groups", ("$ a month",))
    row("EFS, written and read", [quiet(1000, price)["EFS, written and read"]])
    row("**a line every 5 minutes**", [sum(quiet(1000, price).values())])
    row("… with `buffer_seconds = 900`", [sum(quiet(1000, price, 96).values())])
    row("a line an hour", [sum(quiet(1000, price, 24).values())])
    row("two alarms for each log group", [1000 * 2 * price["alarm"]])
    measured()
    print()
    for gb, most, least in zip(VOLUMES, WITH_COMPRESSION, WITH_BEST_LEVER):
        print(f"* {gb:,} GB a day: {aimed(compressed(gb, price)[0], most)}, best lever {aimed(min(compressed(gb, price)), least)}")
    print(f"* 1,000 quiet log groups: {aimed(sum(quiet(1000, price).values()), QUIET_MOST)}")


def said(price):
    """What the text of docs/cost.md says besides."""
    # What two of land's 1,024 MB write.
    seconds = CPU["land", "plain"] * 1.769 / 1.024 + (LINES + STATE) * 1000 / EFS_MB_S
    ten = pipeline(10, price)
    bursting, archived = pipeline(10, price, bursting=True), pipeline(10, price, archive_days=90)
    io, ia = "EFS, written and read", "EFS, a year in IA"
    earned, spent = credits(1, OPEN["plain"], SEALED["plain"])
    return [
        f"A GB of text a day earns {earned:.0f} GB a day and spends {spent:.1f} GB",
        f"`open = \"compressed\"` pays from {pays_from(price)} GB a day on",
        f"2 at once write some {2 * 1000 / seconds:.0f} MB a second",
        f"`archive_days = 90` saves ${money(ten[ia] - archived[ia])} of ${money(ten[ia])} for IA",
        f"At 10 GB a day, bursting saves ${money(ten[io])} and costs ${money(bursting[ia] - ten[ia])} more in IA",
        f"The last one takes some {quiet_in_bursting():,.0f} of them",
        f"At 10 GB a day, one zone saves ${money(ten['EFS, 2 days standard'] * (1 - 0.16 / 0.30))} of Standard's ${money(ten['EFS, 2 days standard'])}",
        f"It costs more than compressed files from {crossing(price)} GB a day on",
        f"at 10 GB a day in us-east-1, ${money(total(10, price))} a month as deployed, and ${money(total(10, price, 'compressed'))} with compression",
        f"A thousand quiet log groups cost ${money(sum(quiet(1000, price).values()))} more",
        f"it is {STATE * 100:.0f} % of the text",
        "100 and 1,000 GB a day miss theirs by {} and {} % without a lever".format(*(
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
