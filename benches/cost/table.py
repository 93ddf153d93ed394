"""The tables of docs/cost.md: dollars a month, from what measure.py measured and the prices below.

    python3 benches/cost/table.py [--check]   with --check: whether docs/cost.md has these very lines
"""

import contextlib
import io
import pathlib
import sys

DAYS = 30
VOLUMES = (1, 10, 100, 1000)  # GB of log text a day
GZIP = 6  # to one: CloudWatch's envelopes, and sealed files

# Measured by measure.py: CPU seconds a GB of text; rows as a share of the envelopes' bytes; journals as one of the files'.
CPU = {"transform": 12, "land": 14, "seal": 2.4, "seal, gzip": 12}
CPU_DIRECT = 81  # not ours: Python's 397 ms for 4.9 MB, by a third party
ROWS, JOURNALS = 1.5, 0.07
EFS_MB_S = 100  # what a function is taken to read and write at, while it is paid for waiting
ROUNDING = 1.5  # Firehose charges records in steps of 5 KB

PRICES = {
    "us-east-1": dict(logs=0.50, firehose=0.029, gb_s=0.0000166667, requests=0.20, s3=0.023, glacier=0.004, transition=0.02, put=0.005, get=0.0004,
                      efs=0.30, ia=0.016, tiering=0.01, read=0.03, write=0.06, backup=0.05, sqs=0.40, metric=0.30, alarm=0.10, dashboard=3),
    "ap-northeast-1": dict(logs=0.76, firehose=0.036, gb_s=0.0000166667, requests=0.20, s3=0.025, glacier=0.005, transition=0.02, put=0.0047, get=0.00037,
                           efs=0.36, ia=0.0193, tiering=0.012, read=0.036, write=0.072, backup=0.06, sqs=0.40, metric=0.30, alarm=0.10, dashboard=3),
}
FILE_DAYS = 365


def pipeline(gb, price, gzip=False, landing_days=30):
    """The deployed pipeline: a line a service, in dollars a month."""
    month, wire = gb * DAYS, gb * DAYS / GZIP
    objects = max(DAYS * 288, wire * ROWS * 1000 / 64)
    backups = max(DAYS * 96, wire * 1000 / 128)
    batches = max(DAYS * 1440, wire * 1000)
    cpu = lambda what: month * CPU[what] * 1.769  # at 1,769 MB a whole CPU; less memory takes longer and costs the same
    waiting = month * 1000 / EFS_MB_S
    sealed = 1 / GZIP if gzip else 1
    kept = gb * sealed * (FILE_DAYS - 2) * (1 + JOURNALS)
    return {
        "Firehose, Direct PUT": wire * ROUNDING * price["firehose"],
        "transform function": cpu("transform") * price["gb_s"] + batches / 1e6 * price["requests"],
        "land function": (cpu("land") + waiting * 1.024) * price["gb_s"] + objects / 1e6 * price["requests"],
        "seal function": (cpu("seal, gzip" if gzip else "seal") + waiting * (1 + sealed) * 1.769) * price["gb_s"],
        "S3 landing/": gb / GZIP * ROWS * landing_days * price["s3"] + objects / 1000 * (price["put"] + 4 * price["get"]),
        "S3 backup/, 108 days": gb / GZIP * (7 * price["s3"] + 101 * price["glacier"]) + backups / 1000 * (price["put"] + price["transition"]),
        "EFS, written and read": month * ((1 + JOURNALS + sealed) * price["write"] + price["read"]),
        "EFS, 2 days standard": gb * 2 * (1 + JOURNALS) * price["efs"],
        "EFS, a year in IA": kept * price["ia"] + month * sealed * price["tiering"],
        "SQS": 0.65 * price["sqs"],
        "metrics, alarms, dashboard": 26 * price["metric"] + 27 * price["alarm"] + price["dashboard"],
    }


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
    files = gb * 2 * price["efs"] + gb * (FILE_DAYS - 2) * price["ia"] + month * price["tiering"]
    return month / GZIP * ROUNDING * price["firehose"] + lambdas + month * price["write"] + files


def row(name, values):
    print(f"| {name} | " + " | ".join(money(value) for value in values) + " |")


def money(value):
    return f"{value:,.2f}" if value < 10 else f"{value:,.0f}"


def main():
    for region, price in PRICES.items():
        print(f"\n### {region}\n\n| $ a month, at GB of text a day | " + " | ".join(f"{gb:,}" for gb in VOLUMES) + " |")
        print("|---|" + "--:|" * len(VOLUMES))
        default = [pipeline(gb, price) for gb in VOLUMES]
        lean = [pipeline(gb, price, gzip=True, landing_days=15) for gb in VOLUMES]
        for name in default[0]:
            row(name, [one[name] for one in default])
        row("**default**", [sum(one.values()) for one in default])
        row("**lean**", [sum(one.values()) for one in lean])
        row("default, with `efs_backups`", [sum(one.values()) + gb * FILE_DAYS * price["backup"] for one, gb in zip(default, VOLUMES)])
        row("Firehose to S3, nothing of ours", [native(gb, price) for gb in VOLUMES])
        row("Firehose's function to EFS", [direct(gb, price) for gb in VOLUMES])
        row("*CloudWatch Logs, paid before any of these*", [gb * DAYS * price["logs"] for gb in VOLUMES])


def check():
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        main()
    page = (pathlib.Path(__file__).resolve().parents[2] / "docs/cost.md").read_text().splitlines()
    missing = [line for line in printed.getvalue().splitlines() if line and line not in page]
    # In the text: what two of land's 1,024 MB write, and from where on the direct way costs more than lean.
    seconds = CPU["land"] * 1.769 / 1.024 + 1000 / EFS_MB_S
    price = PRICES["us-east-1"]
    crossing = next(gb for gb in range(1, 1000) if direct(gb, price) > sum(pipeline(gb, price, gzip=True, landing_days=15).values()))
    text = "\n".join(page)
    missing += [said for said in (f"2 at once write some {2 * 1000 / seconds:.0f} MB a second", f"from some {crossing} GB a day on") if said not in text]
    if missing:
        raise SystemExit("docs/cost.md is not what benches/cost/table.py says:\n" + "\n".join(missing))


if __name__ == "__main__":
    check() if "--check" in sys.argv else main()
