"""`make e2e`: deploys the packages of `make lambda` on this machine, on loopback only, and feeds them.

ministack plays S3, SQS, Lambda (it runs the zips as processes), the event source mapping and Firehose; moto makes
the envelopes: CloudWatch Logs -> subscription filter -> Firehose. A folder stands in for EFS. The script ends every
process that it starts, and takes at most LIMIT_S.
"""

import base64
import binascii
import collections
import contextlib
import datetime
import fcntl
import hashlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import boto3
import botocore.config

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
REGION = "ap-northeast-1"
BUCKET = "hiwake-logs"
VISIBILITY_S = 10
RECEIVES_MAX = 5
LIMIT_S = 300
LABELS = "HOGE,HOGE,1,HOGEHOGE"
ROLE = "arn:aws:iam::000000000000:role/hiwake"


def main():
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LIMIT_S)
    packages_are_of_these_sources()
    with contextlib.ExitStack() as stack:
        work = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        aws, pid = stack.enter_context(serving("ministack", ["ministack"], work))
        moto, _ = stack.enter_context(serving("moto", ["moto_server", "-H", "127.0.0.1"], work))
        pipeline = Pipeline(aws, pid, work)
        pipeline.envelopes_of_moto_become_lines(envelopes(moto))
        pipeline.own_events_become_lines()
        pipeline.notices_sent_twice_change_nothing()
        pipeline.three_objects_for_one_day_file_land_within_one_visibility_period()
        pipeline.a_poisoned_message_and_a_missing_object_hold_nobody_up()
        pipeline.the_schedule_seals_what_is_over()
    print("e2e: ok")


def packages_are_of_these_sources():
    sources = [*REPOSITORY.glob("src/**/*"), REPOSITORY / "Cargo.lock", REPOSITORY / "hiwake.toml"]
    newest = max(path.stat().st_mtime for path in sources if path.is_file())
    for package in ("transform", "land"):
        zip_file = TARGET / "lambda" / package / "bootstrap.zip"
        if not zip_file.exists() or zip_file.stat().st_mtime < newest:
            raise SystemExit(f"e2e: {zip_file} is missing or older than the sources: run make lambda")


def too_long(*_):
    raise SystemExit(f"e2e: did not end within {LIMIT_S} s")


@contextlib.contextmanager
def serving(name, command, work):
    """Runs a server on a free loopback port, and ends it with all processes that it started."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if name == "moto":
        command = [*command, "-p", str(port)]
    url = f"http://127.0.0.1:{port}"
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(work), "TMPDIR": str(work),
        "BIND_HOST": "127.0.0.1", "IOT_MTLS_ENABLED": "0", "GATEWAY_PORT": str(port), "MINISTACK_REGION": REGION,
        # Without AWS_ENDPOINT_URL, because ministack would override that of each function with it.
        "AWS_DEFAULT_REGION": REGION,
    }
    command[0] = str(pathlib.Path(sys.executable).with_name(command[0]))
    with open(work / f"{name}.log", "wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, cwd=work, start_new_session=True
        )
        try:
            wait(f"{name} answers", lambda: answers(url), 60)
            yield url, process.pid
        except BaseException:
            sys.stderr.write((work / f"{name}.log").read_text(errors="replace")[-6000:])
            raise
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            # The process group has nothing else.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def answers(url):
    try:
        urllib.request.urlopen(url, timeout=2)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def wait(what, done, seconds):
    until = time.monotonic() + seconds
    while not done():
        if time.monotonic() > until:
            raise SystemExit(f"e2e: did not happen within {seconds} s: {what}")
        time.sleep(0.2)


def client(service, url):
    config = botocore.config.Config(retries={"max_attempts": 2}, s3={"addressing_style": "path"})
    return boto3.client(
        service, endpoint_url=url, region_name=REGION, config=config,
        aws_access_key_id="000000000000", aws_secret_access_key="test",
    )


def envelopes(url):
    """Real gzip envelopes, each a Firehose record, and the texts in them."""
    s3, firehose, logs = (client(name, url) for name in ("s3", "firehose", "logs"))
    s3.create_bucket(Bucket="moto-logs", CreateBucketConfiguration={"LocationConstraint": REGION})
    destination = {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::moto-logs"}
    arn = firehose.create_delivery_stream(
        DeliveryStreamName="moto", ExtendedS3DestinationConfiguration=destination
    )["DeliveryStreamARN"]
    group, stream = "/var/log/messages", "i-0abc"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    logs.put_subscription_filter(
        logGroupName=group, filterName="all", filterPattern="", destinationArn=arn, roleArn=ROLE
    )
    texts = [f"moto {n}: ログ connect" for n in range(40)]
    now = int(time.time() * 1000)
    for start in range(0, len(texts), 10):
        events = [{"timestamp": now + start + n, "message": texts[start + n]} for n in range(10)]
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket="moto-logs").get("Contents", [])]
    records = [s3.get_object(Bucket="moto-logs", Key=key)["Body"].read() for key in keys]
    assert any(record.startswith(b"\x1f\x8b") for record in records), "moto made no gzip envelope"
    return records, texts


class Pipeline:
    def __init__(self, url, pid, work):
        self.pid = pid
        names = ("s3", "sqs", "lambda", "firehose")
        self.s3, self.sqs, self.functions, self.firehose = (client(name, url) for name in names)
        self.root = work / "efs"
        self.expected = collections.Counter()
        self.s3.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        self.dead = self.queue("dead", {})
        redrive = {"deadLetterTargetArn": self.arn(self.dead), "maxReceiveCount": RECEIVES_MAX}
        attributes = {
            "VisibilityTimeout": str(VISIBILITY_S), "RedrivePolicy": json.dumps(redrive),
        }
        self.notices = self.queue("notices", attributes)
        no_grace = work / "no-grace.toml"
        no_grace.write_text((REPOSITORY / "hiwake.toml").read_text().replace(
            '# grace        = "1h"', 'grace = "0s"'))
        here = {
            "HIWAKE_ROOT": str(self.root), "HIWAKE_PIPELINE": "e2e",
            "AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true",
        }
        transform = self.function("transform", "transform", {"HIWAKE_PIPELINE": "e2e"})
        self.function("land", "land", here)
        self.function("seal", "land", {**here, "HIWAKE_CONFIG": str(no_grace)})
        self.functions.create_event_source_mapping(
            EventSourceArn=self.arn(self.notices), FunctionName="land", BatchSize=10,
            FunctionResponseTypes=["ReportBatchItemFailures"],
            ScalingConfig={"MaximumConcurrency": 2},
        )
        self.s3.put_bucket_notification_configuration(
            Bucket=BUCKET,
            NotificationConfiguration={"QueueConfigurations": [{
                "QueueArn": self.arn(self.notices), "Events": ["s3:ObjectCreated:*"],
                "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "landing/"}]}},
            }]},
        )
        processor = {"Type": "Lambda", "Parameters": [
            {"ParameterName": "LambdaArn", "ParameterValue": transform}]}
        self.firehose.create_delivery_stream(
            DeliveryStreamName="hiwake",
            ExtendedS3DestinationConfiguration={
                "RoleARN": ROLE, "BucketARN": f"arn:aws:s3:::{BUCKET}", "Prefix": "landing/",
                "ProcessingConfiguration": {"Enabled": True, "Processors": [processor]},
            },
        )

    def queue(self, name, attributes):
        return self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    def arn(self, queue):
        answer = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        return answer["Attributes"]["QueueArn"]

    def function(self, name, package, variables):
        """Creates a function from the zip of `make lambda`, which has `hiwake.toml` beside the binary."""
        code = (TARGET / "lambda" / package / "bootstrap.zip").read_bytes()
        return self.functions.create_function(
            FunctionName=name, Runtime="provided.al2023", Handler="bootstrap", Role=ROLE,
            Code={"ZipFile": code}, Timeout=8, MemorySize=256, Environment={"Variables": variables},
        )["FunctionArn"]

    def messages(self, queue):
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return sum(int(answer[name]) for name in names)

    def lines(self):
        lines = collections.Counter()
        for path in self.root.rglob("*"):
            if path.is_file() and ".hiwake" not in path.parts and path.suffix != ".sha256":
                lines.update(path.read_text().splitlines())
        return lines

    def expect(self, lines, seconds=60):
        """Waits until all lines so far are there, each once, and no notice is left."""
        self.expected.update(lines)
        try:
            wait(
                "every event in exactly one line",
                lambda: self.lines() == self.expected and self.messages(self.notices) == 0,
                seconds,
            )
        except SystemExit:
            there = self.lines()
            print("missing", list((self.expected - there).items())[:5], file=sys.stderr)
            print("too many", list((there - self.expected).items())[:5], file=sys.stderr)
            print("notices left", self.messages(self.notices), file=sys.stderr)
            raise

    def put(self, records):
        for start in range(0, len(records), 100):
            batch = [{"Data": data} for data in records[start:start + 100]]
            answer = self.firehose.put_record_batch(DeliveryStreamName="hiwake", Records=batch)
            assert answer["FailedPutCount"] == 0, answer

    def envelopes_of_moto_become_lines(self, made):
        records, texts = made
        self.put(records)
        self.expect(f"{LABELS},{text}" for text in texts)
        print(f"e2e: {len(records)} envelopes of moto, {len(texts)} events")

    def own_events_become_lines(self):
        """Puts the records of events/firehose-*.json, a batch for each file, and expects their rows."""
        count, identities = 0, set()
        for path in sorted((REPOSITORY / "events").glob("firehose-*.expected.json")):
            event = json.loads(path.with_name(path.name.replace(".expected", "")).read_text())
            batch = []
            for record, answer in zip(event["records"], json.loads(path.read_text())["records"]):
                # Bad base64 cannot be put. ministack does not deliver failed records, so they give no rows.
                with contextlib.suppress(binascii.Error):
                    batch.append(base64.b64decode(record["data"], validate=True))
                for row in answer.get("rows", []):
                    # Some files share events. A plain row gets the id of its record.
                    identity = (row["timestamp"], row.get("log_group", row.get("origin")), row.get("log_stream"), row["id"])
                    if row["file"] == "plain" or identity not in identities:
                        self.expected.update([row["line"]])
                    identities.add(identity)
            self.put(batch)
            count += len(batch)
        self.expect([])
        print(f"e2e: {count} records of events/")

    def notices_sent_twice_change_nothing(self):
        keys = [entry["Key"] for entry in
                self.s3.list_objects_v2(Bucket=BUCKET, Prefix="landing/")["Contents"]]
        for key in keys:
            self.sqs.send_message(QueueUrl=self.notices, MessageBody=notice(key))
        self.expect([])
        print(f"e2e: {len(keys)} notices again, nothing changed")

    def three_objects_for_one_day_file_land_within_one_visibility_period(self):
        """While this process holds the day file's lock, both invocations wait; then each gets it in turn."""
        rows = [
            {
                "file": "shared", "kind": "csv", "day": "2022-04-18",
                "timestamp": 1650214747000 + n, "stream": "1:g:s", "id": str(n),
                "line": f"shared {n}",
            }
            for n in range(30001)
        ]
        self.s3.put_object(Bucket=BUCKET, Key="landing/shared", Body=json.dumps(rows[0]).encode())
        self.expect([rows[0]["line"]])
        with open(self.root / ".hiwake/days/2022-04-18/shared.csv/.journal", "rb+") as journal:
            fcntl.flock(journal, fcntl.LOCK_EX)
            start = time.monotonic()
            for part in range(3):
                body = "".join(json.dumps(row) + "\n" for row in rows[1 + part::3])
                self.s3.put_object(Bucket=BUCKET, Key=f"landing/shared-{part}", Body=body.encode())
            wait("both invocations", lambda: self.processes("land") == 2, VISIBILITY_S / 2)
            assert self.lines() == self.expected
        # A failed message would return only after the visibility period.
        left = start + VISIBILITY_S - time.monotonic()
        self.expect((row["line"] for row in rows[1:]), left)
        print(f"e2e: 3 objects for one day file in {time.monotonic() - start:.1f} s, by 2 processes")

    def processes(self, function):
        """The number of a function's processes."""
        count = 0
        for tasks in pathlib.Path(f"/proc/{self.pid}/task").glob("*/children"):
            for pid in tasks.read_text().split():
                with contextlib.suppress(OSError):
                    environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                    count += f"AWS_LAMBDA_FUNCTION_NAME={function}".encode() in environment
        return count

    def a_poisoned_message_and_a_missing_object_hold_nobody_up(self):
        self.sqs.send_message(QueueUrl=self.notices, MessageBody="no notice")
        self.sqs.send_message(QueueUrl=self.notices, MessageBody=notice("landing/gone"))
        row = {
            "file": "beside", "kind": "csv", "day": "2022-04-18", "timestamp": 1650214747000,
            "stream": "1:g:s", "id": "beside", "line": "beside the poison",
        }
        self.s3.put_object(Bucket=BUCKET, Key="landing/good", Body=json.dumps(row).encode())
        self.expected.update([row["line"]])
        wait("the good object", lambda: self.lines() == self.expected, VISIBILITY_S)
        self.expect([], VISIBILITY_S * (RECEIVES_MAX + 2))
        wait("the poisoned message", lambda: self.messages(self.dead) == 1, VISIBILITY_S)
        kept = "".join(path.read_text() for path in (self.root / ".hiwake/quarantine").iterdir())
        codes = {json.loads(line)["code"] for line in kept.splitlines()}
        # One event of events/ has an impossible timestamp.
        assert codes == {"object-missing", "impossible-timestamp"}, kept
        print("e2e: the poisoned message is in the dead-letter queue, the missing object in quarantine")

    def the_schedule_seals_what_is_over(self):
        answer = self.functions.invoke(FunctionName="seal", Payload=b'{"hiwake":"seal"}')
        text = answer["Payload"].read()
        assert "FunctionError" not in answer, text
        sealed = json.loads(text)["sealed"]
        assert {"shared", "beside"} <= {one["file"] for one in sealed}, sealed
        for one in sealed:
            data = (self.root / one["path"]).read_bytes()
            assert (len(data), data.count(b"\n")) == (one["bytes"], one["lines"]), one
            assert hashlib.sha256(data).hexdigest() == one["sha256"], one
        self.expect([])
        still = [path.name[:10] for path in self.root.rglob("20??-??-??.*.open")]
        yesterday = datetime.date.today() - datetime.timedelta(days=1)
        assert all(day >= str(yesterday) for day in still), still
        print(f"e2e: {len(sealed)} files sealed, their checksums right")


def notice(key):
    record = {"eventName": "ObjectCreated:Put",
              "s3": {"bucket": {"name": BUCKET}, "object": {"key": key}}}
    return json.dumps({"Records": [record]})


if __name__ == "__main__":
    main()
