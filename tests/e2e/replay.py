"""`make e2e`, third part: replay from a bucket, replay through a queue and the land function, and backfill, on
loopback only.

ministack plays S3, SQS and Lambda, moto CloudWatch Logs. The command line finds region, endpoint and credentials in a
profile, as the AWS CLI does. Two folders stand in for EFS: one for the command line, one for the land function.
"""

import collections
import contextlib
import datetime
import fcntl
import gzip
import json
import os
import pathlib
import random
import signal
import subprocess
import tempfile
import time

from run import BUCKET, LIMIT_S, REGION, ROLE, TARGET, client, envelopes, serving, too_long, wait

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
HIWAKE = TARGET / "debug" / "hiwake"
T = 1650214747000
SEALED = ("--now", "2022-04-20T01:00:00+09:00")


def main():
    subprocess.run(["cargo", "build", "--locked", "--bin", "hiwake"], cwd=REPOSITORY, check=True)
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LIMIT_S)
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
        """Writes profiles as `aws configure` does."""
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
        """Runs a command as a user types it, and shows it with its output."""
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
        self.what_is_missing_is_filled_exactly()
        self.into_a_sealed_day_it_goes_to_the_late_file()
        self.killed_half_way_it_goes_on_and_ends_the_same()
        self.after_a_change_of_routing_what_has_landed_is_found()
        self.by_the_queue_the_land_lambda_lands_the_same()
        self.backfill_doubles_nothing(records, texts)

    def put(self, prefix, records):
        """Puts an object as the source backup does: members without separators, under a key in UTC."""
        now = datetime.datetime.now(datetime.timezone.utc)
        key = f"{prefix}/{now:%Y/%m/%d/%H/hiwake-1-%Y-%m-%d-%H-%M-%S}"
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=b"".join(records))

    def stand_in(self):
        """Uploads a backup of the sample log in small objects."""
        lines = (REPOSITORY / "events" / "messages.log").read_text().splitlines()
        for n, line in enumerate(lines):
            self.put_event(f"backup/2022/04/17/16/{n:02}", n, line)
        self.lines = lines

    def put_event(self, key, n, message, log_group="/var/log/messages"):
        envelope = {
            "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": log_group,
            "logStream": "web1", "subscriptionFilters": ["all"],
            "logEvents": [{"id": f"{n:056}", "timestamp": T + n, "message": message}],
        }
        body = gzip.compress(json.dumps(envelope).encode())
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)

    def a_replay_from_the_bucket_lands_everything_once(self, texts):
        root, source = self.work / "root", f"s3://{BUCKET}/backup"
        count = len(texts) + len(self.lines)
        planned = self.counts("replay", source, "--root", root, "--dry-run")
        assert not root.exists() and planned["tally"]["lines"] == count, planned
        hour = moment(time.time() - 3600)
        none = self.counts("replay", source, "--root", root, "--until", hour)
        assert none["read"] == 0, none
        # Keys of 2022 are not listed, because a key has the time of its delivery.
        recent = self.counts("replay", source, "--root", root, "--since", hour)
        assert recent["new"] == len(texts) and recent["skipped_by_reason"]["plain_text"] == 1, recent
        rest = self.counts("replay", source, "--root", root)
        assert (rest["new"], rest["already_landed"]) == (len(self.lines), len(texts)), rest
        self.hiwake("replay", source, "--root", root)
        self.hiwake("cat", f"s3://{BUCKET}/backup/2022/04/17/16/08", "--events")
        self.hiwake("land", f"s3://{BUCKET}/backup/2022", "--root", root)
        self.near = lines(root)
        assert sum(self.near.values()) == count and set(self.near.values()) == {1}
        print(f"e2e replay: {count} events from the bucket, each once")

    def a_part_landed(self, root, seed, *now):
        """Lands all objects but five. Returns how many landed, and how many are missing."""
        keys = [entry["Key"] for entry in
                self.s3.list_objects_v2(Bucket=BUCKET, Prefix="backup/2022/")["Contents"]]
        assert len(keys) == len(self.lines)
        part = sorted(random.Random(seed).sample(keys, len(keys) - 5))
        landed = self.counts("land", *(f"s3://{BUCKET}/{key}" for key in part), "--root", root, *now)
        assert landed["lines"] == len(part), landed
        return len(part), len(keys) - len(part)

    def what_is_missing_is_filled_exactly(self):
        source = f"s3://{BUCKET}/backup/2022"
        self.hiwake("replay", source, "--root", self.work / "whole")
        whole = lines(self.work / "whole")
        assert sum(whole.values()) == len(self.lines)
        for seed in range(3):
            root = self.work / f"gap-{seed}"
            there, missing = self.a_part_landed(root, seed)
            filled = self.counts("replay", source, "--root", root)
            assert (filled["new"], filled["already_landed"]) == (missing, there), filled
            assert lines(root) == whole
        print(f"e2e replay: exactly the {missing} objects that never landed are filled in, 3 times")

    def into_a_sealed_day_it_goes_to_the_late_file(self):
        root = self.work / "sealed"
        there, missing = self.a_part_landed(root, 3, "--now", "2022-04-18T03:00:00+09:00")
        self.hiwake("seal", "--root", root, *SEALED)
        sealed = root / "messages/2022-04-18.csv"
        before = sealed.read_bytes()
        source = ("replay", f"s3://{BUCKET}/backup/2022", "--root", root, *SEALED)
        planned = self.hiwake(*source, "--dry-run")
        assert "the late file" in planned, planned
        filled = self.counts(*source)
        assert filled["new"] == filled["late"] == missing, filled
        assert sealed.read_bytes() == before and before.count(b"\n") == there
        late = root / "messages/2022-04-18.late.csv.open"
        assert late.read_bytes().count(b"\n") == missing
        assert lines(root) == lines(self.work / "whole")
        print(f"e2e replay: {missing} events of a sealed day are in its late file")

    def killed_half_way_it_goes_on_and_ends_the_same(self):
        for n in range(45):
            self.put_event(f"killed/{n:02}", n, f"event {n}")
        self.put_event("killed/zz", 0, "the last one", "last")
        root = self.work / "killed"
        # While this process holds the last day file's lock, the replay cannot finish.
        journal = root / ".hiwake/days/2022-04-18/unmatched/last.csv/.journal"
        journal.parent.mkdir(parents=True)
        command = ("replay", f"s3://{BUCKET}/killed", "--root", root)
        with open(journal, "wb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            environment = {**self.environment, "AWS_PROFILE": "buckets"}
            arguments = [HIWAKE, *map(str, command)]
            process = subprocess.Popen(arguments, cwd=REPOSITORY, env=environment)
            try:
                wait("two batches are noted", lambda: noted(root) >= 20, 25)
            finally:
                process.kill()
            assert process.wait() == -signal.SIGKILL
        done = self.counts(*command)
        assert 20 <= done["objects_landed_before"] <= 45, done
        assert done["objects_landed_before"] + done["objects"] == 46, done
        found = lines(root)
        assert len(found) == 46 and set(found.values()) == {1}, found
        assert noted(root) == 0
        again = self.counts(*command)
        assert (again["new"], again["already_landed"]) == (0, 46), again
        print(f"e2e replay: killed, it resumed after {done['objects_landed_before']} of 46 objects")

    def after_a_change_of_routing_what_has_landed_is_found(self):
        text = (REPOSITORY / "hiwake.toml").read_text()
        moved = self.work / "moved.toml"
        moved.write_text(text.replace('file        = "messages"', 'file        = "syslog"'))
        assert moved.read_text() != text
        root, fresh = self.work / "root", self.work / "moved"
        before = lines(root)
        command = ("replay", f"s3://{BUCKET}/backup", "--config", moved)
        count = sum(self.near.values())
        again = self.counts(*command, "--root", root)
        assert (again["new"], again["already_landed"]) == (0, count) and lines(root) == before, again
        moved = self.counts(*command, "--root", fresh)
        assert moved["new"] == count and lines(fresh) == self.near, moved
        assert {path.parts[0] for path in tree(fresh) if path.parts[0] != ".hiwake"} == {"syslog"}
        print(f"e2e replay: {count} events found after a change of routing, and moved into a fresh root")

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
        wait("the land function has landed it", lambda: lines(self.far) == self.near, 90)
        wait("no notice is left", lambda: self.messages(self.queue) == 0, 60)
        before = lines(self.far)
        self.hiwake("replay", source, "--queue", self.queue)
        wait("no notice is left", lambda: self.messages(self.queue) == 0, 90)
        assert lines(self.far) == before and self.messages(self.dead) == 0
        assert not (self.far / "plain").exists(), "the land function must leave out plain text too"
        self.hiwake("replay", source, "--queue", self.queue.replace("/land", "/nowhere"), code=1)
        print(f"e2e replay: {dry['notices']} notices through the queue, twice, give the same lines")

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
        assert (filled["new"], filled["already_landed"]) == (0, len(texts)), filled
        self.hiwake(*backfill, "--root", live, profile="logs")
        self.hiwake(*backfill, "--root", fresh, profile="logs")
        assert lines(fresh) == lines(live)
        self.hiwake("backfill", "--log-group", "/var/log", *span, "--root", fresh, profile="logs", code=1)
        print(f"e2e replay: {len(texts)} events of CloudWatch Logs, no duplicate")

    def messages(self, queue):
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return sum(int(answer[name]) for name in names)


def moment(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def noted(root):
    """The number of objects that an unfinished replay has noted."""
    return sum(len(path.read_text().splitlines()) for path in root.glob(".hiwake/replays/*"))


def tree(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def lines(root):
    found = collections.Counter()
    for path in root.rglob("*"):
        if path.is_file() and ".hiwake" not in path.parts and path.suffix != ".sha256":
            found.update(path.read_text().splitlines())
    return found


if __name__ == "__main__":
    main()
