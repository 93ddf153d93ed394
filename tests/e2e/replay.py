"""`make e2e`, second part: replay from a bucket, by a queue and the land λ, and backfill, on loopback only.

ministack plays S3, SQS and Lambda, moto CloudWatch Logs. The command line finds region, endpoint and credentials in a
profile, as the AWS CLI does. Two folders stand in for EFS: what is landed here, and what the land λ lands.
"""

import collections
import contextlib
import datetime
import gzip
import json
import os
import pathlib
import subprocess
import tempfile
import time

from run import BUCKET, REGION, ROLE, TARGET, client, envelopes, serving, wait

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
HIWAKE = TARGET / "debug" / "hiwake"


def main():
    subprocess.run(["cargo", "build", "--locked", "--bin", "hiwake"], cwd=REPOSITORY, check=True)
    with contextlib.ExitStack() as stack:
        work = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        aws, _ = stack.enter_context(serving("ministack", ["ministack"], work))
        moto, _ = stack.enter_context(serving("moto", ["moto_server", "-H", "127.0.0.1"], work))
        Replay(aws, moto, work).run()
    print("e2e replay: ok")


class Replay:
    def __init__(self, aws, moto, work):
        self.work, self.moto = work, moto
        self.profiles(aws, moto)
        self.s3, self.sqs, self.functions = (client(name, aws) for name in ("s3", "sqs", "lambda"))
        self.s3.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        self.dead = self.sqs.create_queue(QueueName="dead")["QueueUrl"]
        redrive = {"deadLetterTargetArn": self.arn(self.dead), "maxReceiveCount": 3}
        attributes = {"VisibilityTimeout": "10", "RedrivePolicy": json.dumps(redrive)}
        self.queue = self.sqs.create_queue(QueueName="land", Attributes=attributes)["QueueUrl"]
        self.far = work / "efs"
        variables = {
            "HIWAKE_ROOT": str(self.far), "HIWAKE_PIPELINE": "e2e",
            "AWS_ENDPOINT_URL": aws, "AWS_ALLOW_HTTP": "true",
        }
        self.functions.create_function(
            FunctionName="land", Runtime="provided.al2023", Handler="bootstrap", Role=ROLE,
            Code={"ZipFile": (TARGET / "lambda" / "land" / "bootstrap.zip").read_bytes()},
            Timeout=8, MemorySize=256, Environment={"Variables": variables},
        )

    def profiles(self, aws, moto):
        """As `aws configure` writes them."""
        config, credentials = self.work / "config", self.work / "credentials"
        config.write_text(
            f"[profile buckets]\nregion = {REGION}\nendpoint_url = {aws}\n"
            f"[profile logs]\nregion = {REGION}\nendpoint_url = {moto}\n"
        )
        keys = "aws_access_key_id = 000000000000\naws_secret_access_key = test\n"
        credentials.write_text(f"[buckets]\n{keys}[logs]\n{keys}")
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.work),
            "AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def arn(self, queue):
        answer = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        return answer["Attributes"]["QueueArn"]

    def hiwake(self, *arguments, profile="buckets", code=0):
        """Runs it as it is typed, and shows both."""
        environment = {**self.environment, "AWS_PROFILE": profile}
        arguments = [str(argument) for argument in arguments]
        done = subprocess.run(
            [HIWAKE, *arguments], cwd=REPOSITORY, env=environment, capture_output=True, text=True
        )
        shown = " ".join(arguments).replace(str(self.work), "")
        print(f"$ hiwake {shown}\n{done.stdout}{done.stderr}", end="")
        assert done.returncode == code, (done.returncode, arguments)
        return done.stdout

    def counts(self, *arguments, **options):
        return json.loads(self.hiwake(*arguments, "--json", **options))

    def run(self):
        records, texts = envelopes(self.moto)
        plain = b'{"TICKER_SYMBOL":"QXZ","PRICE":84.51}'
        self.put("backup", records[:2] + [plain] + records[2:])
        self.stand_in()
        self.a_replay_from_the_bucket_lands_everything_once(texts)
        self.by_the_queue_the_land_lambda_lands_the_same()
        self.backfill_doubles_nothing(records, texts)

    def put(self, prefix, records):
        """An object as the source backup writes it: members without anything between, under a key in UTC."""
        now = datetime.datetime.now(datetime.timezone.utc)
        key = f"{prefix}/{now:%Y/%m/%d/%H/hiwake-1-%Y-%m-%d-%H-%M-%S}"
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=b"".join(records))

    def stand_in(self):
        """The backup of the stand-in, uploaded in small objects."""
        lines = (REPOSITORY / "events" / "messages.log").read_text().splitlines()
        for n, line in enumerate(lines):
            envelope = {
                "messageType": "DATA_MESSAGE", "owner": "123456789012",
                "logGroup": "/var/log/messages", "logStream": "web1", "subscriptionFilters": ["all"],
                "logEvents": [{"id": f"{n:056}", "timestamp": 1650214747000 + n, "message": line}],
            }
            body = gzip.compress(json.dumps(envelope).encode())
            self.s3.put_object(Bucket=BUCKET, Key=f"backup/2022/04/17/16/{n:02}", Body=body)
        self.lines = lines

    def a_replay_from_the_bucket_lands_everything_once(self, texts):
        root, source = self.work / "root", f"s3://{BUCKET}/backup"
        count = len(texts) + len(self.lines)
        planned = self.counts("replay", source, "--root", root, "--dry-run")
        assert not root.exists() and planned["tally"]["lines"] == count, planned
        hour = moment(time.time() - 3600)
        none = self.counts("replay", source, "--root", root, "--until", hour)
        assert none["read"] == 0, none
        # Keys of 2022 are not listed: what they hold was delivered when they say.
        recent = self.counts("replay", source, "--root", root, "--since", hour)
        assert recent["new"] == len(texts) and recent["skipped_by_reason"]["plain_text"] == 1, recent
        rest = self.counts("replay", source, "--root", root)
        assert (rest["new"], rest["there_before"]) == (len(self.lines), len(texts)), rest
        self.hiwake("replay", source, "--root", root)
        self.hiwake("cat", f"s3://{BUCKET}/backup/2022/04/17/16/08", "--events")
        self.hiwake("land", f"s3://{BUCKET}/backup/2022", "--root", root)
        self.near = lines(root)
        assert sum(self.near.values()) == count and set(self.near.values()) == {1}
        print(f"e2e replay: {count} events from the bucket, each once")

    def by_the_queue_the_land_lambda_lands_the_same(self):
        source = f"s3://{BUCKET}/backup"
        dry = self.counts("replay", source, "--queue", self.queue, "--dry-run")
        assert self.messages(self.queue) == 0 and dry["notices"] == len(self.lines) + 1, dry
        self.hiwake("replay", source, "--queue", self.queue)
        assert self.messages(self.queue) == dry["notices"]
        self.functions.create_event_source_mapping(
            EventSourceArn=self.arn(self.queue), FunctionName="land", BatchSize=10,
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )
        wait("the land λ has landed it", lambda: lines(self.far) == self.near, 90)
        wait("no notice is left", lambda: self.messages(self.queue) == 0, 60)
        before = lines(self.far)
        self.hiwake("replay", source, "--queue", self.queue)
        wait("no notice is left", lambda: self.messages(self.queue) == 0, 90)
        assert lines(self.far) == before and self.messages(self.dead) == 0
        assert not (self.far / "plain").exists(), "plain text is left out by the land λ too"
        self.hiwake("replay", source, "--queue", self.queue.replace("/land", "/nowhere"), code=1)
        print(f"e2e replay: {dry['notices']} notices by the queue, twice, and the same lines")

    def backfill_doubles_nothing(self, records, texts):
        live, fresh = self.work / "live", self.work / "fresh"
        folder = self.work / "objects"
        folder.mkdir()
        (folder / "object").write_bytes(b"".join(records))
        landed = self.counts("land", folder, "--root", live)
        assert landed["lines"] == len(texts), landed
        now = time.time()
        span = [
            argument for name, seconds in (("--since", -7200), ("--until", 7200))
            for argument in (name, moment(now + seconds))
        ]
        backfill = ("backfill", "--log-group", "/var/log/messages", *span)
        filled = self.counts(*backfill, "--root", live, profile="logs")
        assert (filled["new"], filled["there_before"]) == (0, len(texts)), filled
        self.hiwake(*backfill, "--root", live, profile="logs")
        self.hiwake(*backfill, "--root", fresh, profile="logs")
        assert lines(fresh) == lines(live)
        self.hiwake("backfill", "--log-group", "/var/log", *span, "--root", fresh, profile="logs", code=1)
        print(f"e2e replay: {len(texts)} events of CloudWatch Logs, none doubled")

    def messages(self, queue):
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return sum(int(answer[name]) for name in names)


def moment(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def lines(root):
    found = collections.Counter()
    for path in root.rglob("*"):
        if path.is_file() and ".hiwake" not in path.parts and path.suffix != ".sha256":
            found.update(path.read_text().splitlines())
    return found


if __name__ == "__main__":
    main()
