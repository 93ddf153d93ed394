"""Measures what a gigabyte of log text and a quiet log group need: writes measured.json, the input of table.py.

    make lambda && python3 benches/cost/measure.py [FOLDER]   works in FOLDER, e.g. /dev/shm

It runs the deployed packages with a Runtime API and a bucket on loopback, and with a folder in place of EFS. CPU is
the process's own (user and system), the least of ROUNDS fresh processes; memory is its peak. Separate runs under
strace count what EFS would meter. Python 3 and strace are needed.
"""

import base64
import datetime
import gzip
import http.server
import json
import os
import pathlib
import queue
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
BATCHES = 32
ROUNDS = 5
QUIET_GROUPS, QUIET_OBJECTS = 20, 288  # a line for each group in each object: Firehose's 300 s, for a day
DAY = 1650207600000  # 2022-04-18 in Tokyo
TICKS = os.sysconf("SC_CLK_TCK")


def message(chance, at):
    """Syslog, an access log, JSON or a trace: a quarter of a kilobyte on average, which gzip reduces to about a sixth."""
    clock = time.strftime("%H:%M:%S", time.gmtime(at / 1000))
    number, word = chance.getrandbits(24), chance.choice(("connect", "接続しました", "timeout", "retry", "closed"))
    return chance.choice((
        f"Apr 17 {clock} web{number % 9} sshd[{number % 32768}]: Accepted publickey for ops from 192.0.2.{number % 255} port {number % 65536} {word}",
        f'192.0.2.{number % 255} - - [18/Apr/2022:{clock} +0900] "GET /api/v1/items/{number % 999} HTTP/1.1" 200 {number % 9999} "-" '
        '"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"',
        json.dumps({"timestamp": f"2022-04-17T{clock}Z", "level": "info", "logger": "app.orders.service", "msg": word,
                    "request_id": f"{number:06x}", "took_ms": number % 900, "path": "/v1/orders", "status": 200}, ensure_ascii=False),
        f"{clock} ERROR o.h.OrderController - {word} {number:06x}\njava.lang.IllegalStateException: order {number} is {word}\n"
        + "".join(f"\tat org.hiwake.orders.{name}(OrderService.java:{100 + number % 50})\n" for name in ("load", "check", "handle", "run")),
    ))


def batches():
    """Firehose events of about 1 MiB of gzip envelopes each, and the bytes of their log text."""
    chance, text, serial = random.Random(1), 0, 0
    for batch in range(BATCHES):
        records, size = [], 0
        while size < 1 << 20:
            events = []
            # As in AWS's samples: the time comes first, is the same within an envelope, and each event adds one.
            first = (DAY << 144) + (chance.getrandbits(120) << 20)
            for _ in range(256):
                serial += 1
                at = DAY + serial * 20
                events.append({"id": f"{first + len(events):056d}", "timestamp": at, "message": message(chance, at)})
                text += len(events[-1]["message"].encode())
            records.append(envelope("/var/log/messages", events))
            size += len(records[-1])
        yield firehose_event(records), size
    yield text, serial


def quiet():
    """Firehose events with a record of one line for each quiet log group; the last item is the bytes of all their text."""
    chance, text = random.Random(2), 0
    for number in range(QUIET_OBJECTS):
        records = []
        for group in range(QUIET_GROUPS):
            at = DAY + number * 300_000 + group
            event = {"id": f"{(at << 144) + chance.getrandbits(120):056d}", "timestamp": at, "message": message(chance, at)}
            text += len(event["message"].encode())
            records.append(envelope(f"/aws/lambda/quiet-{group}", [event]))
        yield firehose_event(records)
    yield text


def envelope(log_group, events):
    envelope = {"messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": log_group, "logStream": "i-0abc",
                "subscriptionFilters": ["hiwake"], "logEvents": events}
    return gzip.compress(json.dumps(envelope, ensure_ascii=False).encode(), 6)


def firehose_event(records):
    records = [{"recordId": str(number), "approximateArrivalTimestamp": DAY, "data": base64.b64encode(data).decode()} for number, data in enumerate(records)]
    return json.dumps({"invocationId": "1", "deliveryStreamArn": "arn:aws:firehose:x", "region": "x", "records": records}).encode()


class Loopback(http.server.BaseHTTPRequestHandler):
    """The Runtime API (next, response, error) and a bucket."""
    protocol_version = "HTTP/1.1"
    objects = {}

    def do_GET(self):
        if self.path.endswith("/invocation/next"):
            return self.reply(200, self.server.events.get(), {
                "Lambda-Runtime-Aws-Request-Id": "1", "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + 900_000),
                "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:x"})
        body = self.objects[self.path.split("?")[0].split("/", 2)[2]]
        start, end = self.headers.get("Range", f"bytes=0-{len(body) - 1}")[6:].split("-")
        part = body[int(start):int(end) + 1]
        self.reply(206, part, {"ETag": '"1"', "Last-Modified": "Mon, 18 Apr 2022 00:00:00 GMT",
                               "Content-Range": f"bytes {start}-{int(start) + len(part) - 1}/{len(body)}"})

    def do_POST(self):
        self.server.answers.put((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.reply(202, b"", {})

    def reply(self, status, body, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Ignored: a function that was stopped hangs up."""


class Function:
    def __init__(self, package, work, variables, log=None):
        folder = work / package
        zipfile.ZipFile(TARGET / "lambda" / package / "bootstrap.zip").extractall(folder)
        (folder / "bootstrap").chmod(0o755)
        self.server = Server(("127.0.0.1", 0), Loopback)
        self.server.events, self.server.answers = queue.Queue(), queue.Queue()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        here = f"127.0.0.1:{self.server.server_port}"
        environment = {"AWS_LAMBDA_RUNTIME_API": here, "AWS_LAMBDA_FUNCTION_NAME": package, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
                       "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_LAMBDA_LOG_GROUP_NAME": "g", "AWS_LAMBDA_LOG_STREAM_NAME": "s",
                       "AWS_ENDPOINT_URL": f"http://{here}", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "x",
                       "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", **variables}
        # With -D, strace is the grandchild and the function our own child.
        self.log, strace = log, ["strace", "-D", "-f", "-qq", "-y", "-s", "0", "-e", "trace=%file,%desc", "-o", log] if log else []
        self.process = subprocess.Popen([*strace, folder / "bootstrap"], env=environment, stdout=subprocess.DEVNULL)

    def call(self, event):
        """The answer, CPU seconds and seconds."""
        before, start = self.cpu(), time.monotonic()
        self.server.events.put(event)
        path, answer = self.server.answers.get(timeout=900)
        assert path.endswith("/response"), answer[:2000]
        return answer, self.cpu() - before, time.monotonic() - start

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024

    def end(self):
        self.process.kill()
        self.process.wait()
        while self.log and "+++ killed" not in self.log.read_text(errors="replace")[-2000:]:
            time.sleep(0.1)
        self.server.shutdown()


def main():
    *events, (text, count) = batches()
    *quiet_events, quiet_text = quiet()
    wire = sum(size for _, size in events)
    measured = {"date": str(datetime.date.today()), "text": text, "events": count, "wire": wire}
    print(f"{count} events, {text / 1e6:.0f} MB of messages, {wire / 1e6:.1f} MB as Firehose is charged for them")
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        work = pathlib.Path(folder)
        configs = {name: config(work, name, **keys) for name, keys in FORMS.items()}
        rounds = [transformed(work, [event for event, _ in events]) for _ in range(ROUNDS)]
        rows, measured["transform"] = rounds[0][0], least([one for _, one in rounds], text)
        quiet_rows, quiet_transform = transformed(work, quiet_events)
        measured["rows"] = sum(map(len, rows))
        print(f"rows: {measured['rows'] / 1e6:.1f} MB")
        # Each object has a part of every minute, so that sealing has to merge.
        whole = [b"".join(rows[part::4]) for part in range(4)]
        for form, name in configs.items():
            print(f"\n{form}")
            one = measured[form] = {}
            if form in ("plain", "compressed"):
                one["land"], one["landed again"], one["landed"] = landed(work, name, whole, text)
            one["seal"], one["sealed"] = sealed(work, name, "plain" if form in ("plain", "gzip", "zstd") else form, text)
        measured["metered"] = {form: metered(work, configs[form], whole) for form in ("plain", "compressed")}
        # A commit's frame has five minutes of 1 GB a day, of 15 MB a day, or of a quiet log group.
        measured["frames"] = {}
        for bytes_wanted in (3_500_000, 50_000):
            records = max(1, round(bytes_wanted / (text / len(rows))))
            objects = [b"".join(rows[start:start + records]) for start in range(0, len(rows), records)][:QUIET_OBJECTS]
            open_bytes = [size(land_all(work, configs[form], objects)[0] / "messages") for form in ("plain", "compressed")]
            measured["frames"][round(open_bytes[0] / len(objects))] = round(open_bytes[1] / open_bytes[0], 3)
        objects = [b"".join(quiet_rows[start:start + QUIET_GROUPS]) for start in range(0, len(quiet_rows), QUIET_GROUPS)]
        assert len(objects) == QUIET_OBJECTS
        measured["quiet"] = {"groups": QUIET_GROUPS, "commits": QUIET_OBJECTS, "text": quiet_text, "transform_cpu": quiet_transform["cpu"],
                             "land_cpu": land_all(work, configs["plain"], objects)[1],
                             **{form: metered(work, configs[form], objects) for form in ("plain", "zstd", "compressed")}}
    (REPOSITORY / "benches/cost/measured.json").write_text(json.dumps(measured, indent=1) + "\n")


# The configured values of [files] open and [seal] compress.
FORMS = {"plain": {"open": "plain", "compress": "none"}, "gzip": {"open": "plain", "compress": "gzip"},
         "zstd": {"open": "plain", "compress": "zstd"}, "compressed": {"open": "compressed", "compress": "zstd"}}


def config(work, name, open, compress):
    # Without the hour's grace, the day is due at once.
    path, text = work / f"{name}.toml", (REPOSITORY / "hiwake.toml").read_text()
    for before, after in (('# grace        = "1h"', 'grace = "0s"'), ('# compress     = "none"', f'compress = "{compress}"'), ('# open     = "plain"', f'open = "{open}"')):
        assert before in text
        text = text.replace(before, after)
    path.write_text(text)
    return path


def land_function(work, root, name, log=None):
    return Function("land", work, {"HIWAKE_ROOT": str(root), "HIWAKE_CONFIG": str(name)}, log)


def transformed(work, events):
    """The rows that transform answers for each record, and what it needed."""
    function = Function("transform", work, {})
    function.call(events[0])
    calls = [function.call(event) for event in events]
    took = report("transform", function, calls)
    function.end()
    return [base64.b64decode(record["data"]) for answer, *_ in calls for record in json.loads(answer)["records"]], took


def landed(work, name, objects, text):
    """What landing needed, what landing the same again needed, and the sizes of the files."""
    first, again, root = [], [], work / "root"
    for _ in range(ROUNDS):
        shutil.rmtree(root, ignore_errors=True)
        put(objects)
        function = land_function(work, root, name)
        first.append(report("land", function, [function.call(notice(part)) for part in range(len(objects))]))
        again.append(report("landed again", function, [function.call(notice(part)) for part in range(len(objects))]))
        function.end()
    shutil.rmtree(work / name.stem, ignore_errors=True)
    root.rename(work / name.stem)
    return least(first, text), least(again, text), sizes(work / name.stem)


def sealed(work, name, from_form, text):
    """What sealing needed, and the sizes of the files."""
    calls, root = [], work / "root"
    for _ in range(ROUNDS):
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(work / from_form, root)
        function = land_function(work, root, name)
        calls.append(report("seal", function, [function.call(SEAL)]))
        function.end()
    return least(calls, text), sizes(root)


def land_all(work, name, objects, log=None):
    root = work / "root"
    shutil.rmtree(root, ignore_errors=True)
    put(objects)
    function = land_function(work, root, name, log)
    for part in range(len(objects)):
        function.call(notice(part))
    cpu = function.cpu()
    function.end()
    return root, cpu


def metered(work, name, objects):
    """What EFS would meter for landing these objects, and for the three rounds that seal and announce the day."""
    root, _ = land_all(work, name, objects, work / "strace")
    measured = {"land": meter(work / "strace", root), "landed": sizes(root)}
    function = land_function(work, root, name, work / "strace")
    for _ in range(3):
        function.call(SEAL)
    function.end()
    return {**measured, "seal": meter(work / "strace", root), "sealed": sizes(root)}


CALL = re.compile(r"(\d+) +(?:<\.\.\. )?(\w+)(?:\(| resumed>)(.*?)(?:\) += (-?\d+).*|<unfinished \.\.\.>)$")
CHANGES = ("ftruncate", "fsync", "fdatasync", "mkdirat", "unlinkat", "linkat", "renameat", "renameat2", "fchmod", "utimensat")
DATA_BYTES, METADATA_BYTES = 32 << 10, 4 << 10  # the minimum that EFS charges for an operation


def meter(log, root):
    """Bytes moved and bytes metered. An NFS client turns calls into operations: consecutive writes are one until a sync.
    A read fetches the bytes around it, and is not repeated while the file is open. The client already knows folders
    that a path only passes through."""
    total = dict(read=0, written=0, metered_read=0, metered_written=0, operations=0)
    written, blocks, pending, last = {}, {}, {}, {}

    def end(path):
        length, _ = written.pop(path, (0, 0))
        total["metered_written"] += max(length, DATA_BYTES) if length else 0
        total["metered_read"] += DATA_BYTES * len(blocks.get(path, ()))
        total["operations"] += (length > 0) + len(blocks.pop(path, ()))

    for line in log.read_text(errors="replace").splitlines():
        found = CALL.match(line)
        if not found:
            continue
        thread, name, arguments, answer = found.groups()
        if answer is None:
            pending[thread] = arguments
            continue
        arguments = pending.pop(thread, "") + arguments
        if str(root) not in arguments:
            continue
        path, answer = (re.search(r"<([^>]*)>", arguments) or [None, ""])[1], int(answer)
        if name in ("pread64", "pwrite64"):
            offset = int(arguments.rsplit(", ", 1)[1])
            if name == "pread64" and answer > 0:
                total["read"] += answer
                blocks.setdefault(path, set()).update(range(offset // DATA_BYTES, (offset + answer - 1) // DATA_BYTES + 1))
            elif name == "pwrite64":
                total["written"] += answer
                length, reached = written.get(path, (0, offset))
                if reached != offset:
                    total["metered_written"] += max(length, DATA_BYTES)
                    total["operations"] += 1
                    length = 0
                written[path] = length + answer, offset + answer
            continue
        assert name not in ("read", "write", "readv", "writev") or answer == 0 or ".hiwake" in path, line
        if name in ("fsync", "fdatasync", "close", "flock"):
            end(path)
        # A client knows the attributes of a file that was just opened.
        is_known, last[thread] = name == "statx" and last.get(thread) == "openat", name
        if name == "close" or "O_PATH" in arguments or is_known:
            continue
        total["operations"] += 1
        total["metered_written" if name in CHANGES or "O_CREAT" in arguments else "metered_read"] += METADATA_BYTES
    for path in {*written, *blocks}:
        end(path)
    return total


def sizes(root):
    """The bytes and the numbers of day files, journals and seen files."""
    found = {"files": 0, "journals": 0, "seen": 0, "checksums": 0, "other": 0}
    numbers = {}
    for path in root.rglob("*"):
        if path.is_file():
            kind = {".journal": "journals", ".seen": "seen"}.get(path.name) or (
                "other" if ".hiwake" in path.parts else "checksums" if path.suffix == ".sha256" else "files")
            found[kind] += path.stat().st_size
            numbers[kind] = numbers.get(kind, 0) + 1
    return {**found, "numbers": numbers}


def size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def put(objects):
    Loopback.objects = {f"landing/{part}": data for part, data in enumerate(objects)}


SEAL = b'{"hiwake":"seal"}'


def notice(part):
    record = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "logs"}, "object": {"key": f"landing/{part}"}}}
    return json.dumps({"Records": [{"messageId": "1", "eventSource": "aws:sqs", "body": json.dumps({"Records": [record]})}]}).encode()


def report(what, function, calls):
    cpu, seconds = sum(cpu for _, cpu, _ in calls), sum(seconds for *_, seconds in calls)
    print(f"{what}: {len(calls)} calls, {cpu:.2f} s of CPU, {seconds:.2f} s in all, {function.peak_mib():.0f} MiB", flush=True)
    return {"cpu": cpu, "calls": len(calls), "peak_mib": round(function.peak_mib())}


def least(rounds, text):
    """The round with the least CPU, in seconds per GB of text."""
    one = min(rounds, key=lambda one: one["cpu"])
    return {"cpu_s_a_gb": round(one["cpu"] / text * 1e9, 2), "cpu_ms_a_call": round(one["cpu"] / one["calls"] * 1e3, 1), "peak_mib": one["peak_mib"]}


if __name__ == "__main__":
    main()
