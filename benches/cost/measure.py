"""What the functions take for a gigabyte of log text: the figures of docs/cost.md.

    make lambda && python3 benches/cost/measure.py

Feeds the very packages that are deployed, with a Runtime API and a bucket on loopback and a folder in the place of
EFS. CPU is the process's own (user and system), memory its high-water mark. Python 3 and nothing else is needed.
"""

import base64
import gzip
import http.server
import json
import os
import pathlib
import queue
import random
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
DAY = 1650207600000  # 2022-04-18 in Tokyo
TICKS = os.sysconf("SC_CLK_TCK")


def message(chance, at):
    """Syslog, an access log, JSON, a trace: a quarter of a kilobyte on average, which gzip takes to about a sixth."""
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
    """Firehose events of some 1 MiB of gzip envelopes each, and the bytes of log text that are in them."""
    chance, text, serial = random.Random(1), 0, 0
    for batch in range(BATCHES):
        records, size = [], 0
        while size < 1 << 20:
            events = []
            # As in AWS's samples: the time in front, the same within an envelope, one more for each event.
            first = (DAY << 144) + (chance.getrandbits(120) << 20)
            for _ in range(256):
                serial += 1
                at = DAY + serial * 20
                events.append({"id": f"{first + len(events):056d}", "timestamp": at, "message": message(chance, at)})
                text += len(events[-1]["message"].encode())
            envelope = {"messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "/var/log/messages",
                        "logStream": "i-0abc", "subscriptionFilters": ["hiwake"], "logEvents": events}
            data = gzip.compress(json.dumps(envelope, ensure_ascii=False).encode(), 6)
            size += len(data)
            records.append({"recordId": f"{batch}-{len(records)}", "approximateArrivalTimestamp": DAY, "data": base64.b64encode(data).decode()})
        yield json.dumps({"invocationId": "1", "deliveryStreamArn": "arn:aws:firehose:x", "region": "x", "records": records}).encode(), size
    yield text, serial


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
        """A function that was ended hung up."""


class Function:
    def __init__(self, package, work, variables):
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
        self.process = subprocess.Popen([folder / "bootstrap"], env=environment, stdout=subprocess.DEVNULL)

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
        self.server.shutdown()


def main():
    *events, (text, count) = batches()
    gigabyte = text / 1e9
    print(f"{count} events, {text / 1e6:.0f} MB of messages, {sum(size for _, size in events) / 1e6:.1f} MB as Firehose is charged for them")
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        work = pathlib.Path(folder)
        transform = Function("transform", work, {})
        transform.call(events[0][0])
        calls = [transform.call(event) for event, _ in events]
        report("transform", transform, calls, gigabyte)
        transform.end()
        rows = [base64.b64decode(record["data"]) for answer, *_ in calls for record in json.loads(answer)["records"]]
        delivered = b"".join(rows)
        print(f"rows: {len(delivered) / 1e6:.1f} MB")
        # Each object has some of every minute, so that sealing has to merge.
        parts = 4
        for part in range(parts):
            Loopback.objects[f"landing/{part}"] = b"".join(rows[part::parts])
        land = Function("land", work, {"HIWAKE_ROOT": str(work / "efs")})
        report("land", land, [land.call(notice(part)) for part in range(parts)], gigabyte)
        report("landed again", land, [land.call(notice(part)) for part in range(parts)], gigabyte)
        land.end()
        state = sum(path.stat().st_size for path in (work / "efs/.hiwake").rglob("*") if path.is_file())
        files = sum(path.stat().st_size for path in (work / "efs").glob("messages/*"))
        print(f"on EFS: {files / 1e6:.0f} MB of lines, {state / 1e6:.1f} MB of journals and seen")
        for compress in ("none", "gzip"):
            # Without the hour's grace the day is due at once.
            config, root = work / f"{compress}.toml", work / f"efs-{compress}"
            config.write_text((REPOSITORY / "hiwake.toml").read_text().replace(
                '# grace        = "1h"', f'grace = "0s"\ncompress = "{compress}"'))
            shutil.copytree(work / "efs", root)
            seal = Function("land", work, {"HIWAKE_ROOT": str(root), "HIWAKE_CONFIG": str(config)})
            report(f"seal, compress = {compress}", seal, [seal.call(b'{"hiwake":"seal"}')], gigabyte)
            seal.end()
            [sealed] = (one for one in (root / "messages").iterdir() if one.suffix in (".csv", ".gz"))
            print(f"sealed: {sealed.stat().st_size / 1e6:.0f} MB")


def notice(part):
    record = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "logs"}, "object": {"key": f"landing/{part}"}}}
    return json.dumps({"Records": [{"messageId": "1", "eventSource": "aws:sqs", "body": json.dumps({"Records": [record]})}]}).encode()


def report(what, function, calls, gigabyte):
    cpu, seconds = sum(cpu for _, cpu, _ in calls), sum(seconds for *_, seconds in calls)
    print(f"{what}: {len(calls)} calls, {cpu / len(calls) * 1000:.1f} ms of CPU each, {cpu / gigabyte:.2f} s of CPU a GB "
          f"({seconds / gigabyte:.2f} s in all), {function.peak_mib():.0f} MiB")


if __name__ == "__main__":
    main()
