"""`make e2e`, second part: an emulator's CloudFormation creates the template that CDK synthesises, and the stack is used.

ministack plays CloudFormation and every service in the template. `adapted` leaves out all that it does not support. An
envelope that is put into the stack's stream becomes a line of a day file, and the event of the stack's own schedule
seals it.
"""

import base64
import concurrent.futures
import contextlib
import gzip
import http.client
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import run

REPOSITORY = run.REPOSITORY
INFRA = REPOSITORY / "infra"
NAME = "hiwake"
DAY_MS = 24 * 3600 * 1000

# Resources that the emulator refuses or does not know, and why nothing here needs them.
LEFT_OUT = {
    "AWS::EC2::SecurityGroupEgress": "refused; nothing here has a network",
    "AWS::EC2::SecurityGroupIngress": "refused; nothing here has a network",
    "AWS::Logs::AccountPolicy": "refused; Logs puts nothing into Firehose here anyway",
    "AWS::Logs::SubscriptionFilter": "the log group is the operator's, and does not exist here",
}
# Parts of the template that only a deployment with CDK needs, and that the emulator refuses.
PARTS_LEFT_OUT = ("Parameters", "Rules")


def main():
    subprocess.run(["cargo", "build", "--locked", "--bin", "hiwake"], cwd=REPOSITORY, check=True)
    with contextlib.ExitStack() as stack:
        work = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        assembly = synthesised(work)
        refused(work)
        aws, _ = stack.enter_context(run.serving("ministack", ["ministack"], work))
        deployment = Deployment(aws, work)
        deployment.create(assembly)
        deployment.an_envelope_becomes_a_line()
        deployment.land_tests_itself()
        deployment.objects_of_every_prefix_land()
        deployment.commands_work_as_they_are_pasted()
        deployment.the_schedules_event_seals_it()
        deployment.the_smoke_test_sees_its_line()
        deployment.calls_are_those_that_iam_is_asked_about()
    print("e2e: infra: ok")


def is_version_2(aws):
    if not pathlib.Path(aws).exists():
        return False
    done = subprocess.run([aws, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.startswith("aws-cli/2.")


def synthesised(work):
    """Synthesises as the operator does, without credentials. There is no grace, so yesterday is due at once."""
    if not (INFRA / "node_modules").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel", "error"], cwd=INFRA, timeout=300, check=True)
    config = work / "hiwake.toml"
    config.write_text((run.REPOSITORY / "hiwake.toml").read_text().replace('# grace        = "1h"', 'grace = "0s"'))
    assembly = work / "cdk.out"
    done = synthesis(config, assembly)
    if done.returncode != 0:
        raise SystemExit(f"e2e: cdk synth failed\n{done.stdout}\n{done.stderr}")
    return assembly


def synthesis(config, assembly):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    environment |= {"CDK_DISABLE_CLI_TELEMETRY": "true", "AWS_EC2_METADATA_DISABLED": "true"}
    command = [
        "npx", "--no-install", "cdk", "synth", "--quiet", "--no-notices", "--output", str(assembly),
        "-c", f"config={config}", "-c", f"packages={run.TARGET.resolve() / 'lambda'}",
    ]
    return subprocess.run(command, cwd=INFRA, env=environment, capture_output=True, text=True, timeout=300, check=False)


def refused(work):
    """Synthesis refuses what the functions refuse, in their words: here colliding names, which no schema detects."""
    config = work / "refused.toml"
    config.write_text("[[source]]\nlog_groups = ['a']\nfile = 'x'\n\n"
                      "[[source]]\nlog_groups = ['b']\nfile = 'x/2022-04-18.csv'\n")
    done = synthesis(config, work / "refused.out")
    said = done.stderr.splitlines()
    assert done.returncode != 0 and any(line.startswith(f"{config}:7: source[2].file: ") for line in said), done
    print("e2e: infra: the synthesis refuses what the functions refuse")


def adapted(template, recorders, root):
    """Adapts the template to the emulator. No other function changes it."""
    left_out = {name for name, one in template["Resources"].items() if one["Type"] in LEFT_OUT or is_math(one)}
    for part in PARTS_LEFT_OUT:
        template.pop(part, None)
    for name in left_out:
        del template["Resources"][name]
    for resource in template["Resources"].values():
        depends = resource.pop("DependsOn", [])
        depends = [one for one in ([depends] if isinstance(depends, str) else depends) if one not in left_out]
        if depends:
            resource["DependsOn"] = depends
        if resource["Type"] == "AWS::Lambda::Function":
            url = recorders[resource["Properties"]["FunctionName"].removeprefix(f"{NAME}-")].url
            functions_of_a_folder(resource["Properties"], url, root)
    return template


def is_math(resource):
    """The emulator refuses alarms on metric math, and the dashboard names them."""
    return resource["Type"] == "AWS::CloudWatch::Dashboard" or "Metrics" in resource.get("Properties", {})


class Recorder(http.server.ThreadingHTTPServer):
    """Forwards a function's requests to the emulator, and records the IAM action of each."""

    daemon_threads = True

    def __init__(self, url):
        super().__init__(("127.0.0.1", 0), Recording)
        self.behind = urllib.parse.urlsplit(url).netloc
        self.asked = set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Recording(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        bucket, _, key = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).lstrip("/").partition("/")
        verb = {"GET": "Get", "HEAD": "Get", "PUT": "Put", "POST": "Put", "DELETE": "Delete"}[self.command]
        action = f"s3:{verb}Object" if key else {"Get": "s3:ListBucket"}.get(verb, f"s3:{verb}Bucket")
        self.server.asked.add((action, bucket, key.partition("/")[0] + "/" if key else ""))
        behind = http.client.HTTPConnection(self.server.behind, timeout=30)
        behind.request(self.command, self.path, body, dict(self.headers))
        answer = behind.getresponse()
        data = answer.read()
        if key and answer.status == 404:
            # Without s3:ListBucket, S3 would answer 403, and land would wait for a policy.
            self.server.asked.add(("s3:ListBucket", bucket, ""))
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "content-length", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        # The length in an answer to HEAD is that of a GET.
        self.send_header("Content-Length", answer.getheader("Content-Length", str(len(data))) if self.command == "HEAD" else str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_any

    def log_message(self, *_):
        pass


def functions_of_a_folder(properties, url, root):
    """Replaces EFS, which nothing can mount, by a folder. S3 is on loopback, without TLS."""
    variables = properties["Environment"]["Variables"]
    if "HIWAKE_ROOT" in variables:
        assert [one["LocalMountPath"] for one in properties["FileSystemConfigs"]] == [variables["HIWAKE_ROOT"]]
        del properties["FileSystemConfigs"], properties["VpcConfig"]
        variables |= {"HIWAKE_ROOT": str(root), "AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true"}


class Deployment:
    def __init__(self, url, work):
        names = ("cloudformation", "s3", "sqs", "lambda", "firehose", "scheduler")
        self.url, self.root = url, work / "efs"
        self.formation, self.s3, self.sqs, self.functions, self.firehose, self.scheduler = (
            run.client(name, url) for name in names
        )
        self.line = None
        # One for each function. Transform has no client of any service, so its recorder stays empty.
        self.recorders = {what: Recorder(url) for what in ("transform", "land", "seal")}

    def create(self, assembly):
        template = json.loads((assembly / f"{NAME}.template.json").read_text())
        self.publish(json.loads((assembly / f"{NAME}.assets.json").read_text()), assembly)
        count = len(template["Resources"])
        template = adapted(template, self.recorders, self.root)
        # The template is too large to be passed inline.
        self.s3.create_bucket(
            Bucket="templates", CreateBucketConfiguration={"LocationConstraint": run.REGION})
        self.s3.put_object(Bucket="templates", Key="template.json", Body=json.dumps(template).encode())
        self.formation.create_stack(
            StackName=NAME, TemplateURL=f"{self.url}/templates/template.json",
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
        )
        run.wait("the stack is created", self.is_made, 120)
        print(f"e2e: infra: {len(template['Resources'])} of {count} resources made by CloudFormation")

    def publish(self, assets, assembly):
        """Uploads the packages as `cdk deploy` does."""
        for asset in assets["files"].values():
            for there in asset["destinations"].values():
                bucket = there["bucketName"].replace("${AWS::AccountId}", "000000000000").replace("${AWS::Region}", run.REGION)
                with contextlib.suppress(self.s3.exceptions.BucketAlreadyOwnedByYou):
                    self.s3.create_bucket(
                        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": run.REGION})
                body = (assembly / asset["source"]["path"]).read_bytes()
                self.s3.put_object(Bucket=bucket, Key=there["objectKey"], Body=body)

    def is_made(self):
        state = self.formation.describe_stacks(StackName=NAME)["Stacks"][0]
        if state["StackStatus"].endswith(("FAILED", "ROLLBACK_COMPLETE")):
            events = self.formation.describe_stack_events(StackName=NAME)["StackEvents"]
            reasons = [f"{one['LogicalResourceId']}: {one['ResourceStatusReason']}" for one in events
                       if one.get("ResourceStatusReason")]
            raise SystemExit(f"e2e: {state['StackStatus']}\n" + "\n".join(reasons))
        return state["StackStatus"] == "CREATE_COMPLETE"

    def an_envelope_becomes_a_line(self):
        yesterday = int(time.time() * 1000) - DAY_MS
        self.envelope = envelope = {
            "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "/var/log/messages",
            "logStream": "i-0abc", "subscriptionFilters": [NAME],
            "logEvents": [{"id": "1", "timestamp": yesterday, "message": "from the template's own stream"}],
        }
        self.firehose.put_record(
            DeliveryStreamName=NAME, Record={"Data": gzip.compress(json.dumps(envelope).encode())})
        self.line = f"{run.LABELS},from the template's own stream\n"
        run.wait("the line is on EFS", lambda: self.day_files() == [self.line], 60)
        print("e2e: infra: an envelope became a line")

    def day_files(self):
        return [path.read_text() for path in self.root.glob("messages/*.csv*") if path.suffix != ".sha256"]

    def commands_work_as_they_are_pasted(self):
        outputs = self.outputs()
        seal = outputs["SealCommand"]
        assert f"--function-name {NAME}-seal --region {run.REGION} " in seal, seal
        assert "--payload '{\"hiwake\":\"seal\"}'" in seal, seal
        # As pasted: region and configuration come only from the line itself.
        done = self.pasted(outputs["ReplayCommand"])
        assert done.returncode == 0 and "sent 1 notice " in done.stdout, done
        doctor = self.pasted(outputs["DoctorCommand"], REPOSITORY)
        said = dict(line.split(": ", 1) for line in doctor.stdout.splitlines())
        print(doctor.stdout + doctor.stderr, end="")
        for right in (f"queue {outputs['NoticesQueue']}", "dead letters", "alarms ringing"):
            assert f"ok    {right}" in said, doctor
        # Doctor reports what the emulator lacks: alarms on metric math, and the subscriptions.
        assert "missing: hiwake: backup failing" in said["WRONG alarms of hiwake"], doctor
        assert "does not exist" in said["WRONG log group /var/log/messages"], doctor
        assert doctor.returncode == 1, doctor
        print("e2e: infra: ReplayCommand and DoctorCommand work as they are pasted")

    def pasted(self, command, folder=None):
        environment = {
            "PATH": f"{run.TARGET / 'debug'}:{os.environ['PATH']}", "HOME": str(self.root.parent),
            "AWS_ENDPOINT_URL": self.url, "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ACCESS_KEY_ID": "000000000000", "AWS_SECRET_ACCESS_KEY": "test",
        }
        with tempfile.TemporaryDirectory() as empty:
            return subprocess.run(
                command, shell=True, cwd=folder or empty, env=environment, capture_output=True,
                text=True, timeout=120, check=False)

    def outputs(self):
        [stack] = self.formation.describe_stacks(StackName=NAME)["Stacks"]
        return {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}

    def land_tests_itself(self):
        """As in infra/smoke.sh: of two executions at once, one holds the lock, and the other finds it taken."""
        outputs = self.outputs()
        prefixes = [f"s3://{outputs['DeliveryBucket']}/landing/", f"s3://{outputs['BackupBucket']}/backup/"]

        def call(hold_s):
            event = {"hiwake": "selftest", "hold_s": hold_s, "prefixes": prefixes}
            answer = self.functions.invoke(FunctionName=f"{NAME}-land", Payload=json.dumps(event).encode())
            return json.loads(answer["Payload"].read())

        with concurrent.futures.ThreadPoolExecutor() as pool:
            first = pool.submit(call, 5)
            time.sleep(2)
            answers = [call(0), first.result()]
        for answer in answers:
            assert answer["ok"], answer
        held = [one["says"].split()[0] for answer in answers for one in answer["checks"] if one["check"] == "lock between executions"]
        assert held == ["held", "taken"], answers
        print(f"e2e: infra: {len(answers[0]['checks'])} checks of land's self-test succeed, in two executions at once")

    def objects_of_every_prefix_land(self):
        """Lands a failed record, and the backup through a replay's notice. A notice of a missing object is done."""
        outputs = self.outputs()
        record = gzip.compress(json.dumps(self.envelope).encode())
        failed = {"rawData": base64.b64encode(record).decode(), "errorCode": "Lambda.FunctionError"}
        self.s3.put_object(Bucket=outputs["DeliveryBucket"], Key="failed/x", Body=json.dumps(failed).encode())
        self.s3.put_object(Bucket=outputs["BackupBucket"], Key="backup/x", Body=record)
        for bucket, key in [("BackupBucket", "backup/x"), ("DeliveryBucket", "landing/gone")]:
            event = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": outputs[bucket]}, "object": {"key": key}}}
            self.sqs.send_message(QueueUrl=outputs["NoticesQueue"], MessageBody=json.dumps({"Records": [event]}))
        wanted = {("s3:GetObject", outputs["DeliveryBucket"], "failed/"), ("s3:GetObject", outputs["BackupBucket"], "backup/")}
        run.wait("land has read them", lambda: wanted <= self.recorders["land"].asked, 60)
        # The events have already landed, so nothing is added.
        assert self.day_files() == [self.line], self.day_files()

    def the_smoke_test_sees_its_line(self):
        """Runs infra/smoke.sh with the AWS CLI. A thread plays the subscription and sends the metric."""
        aws = [one for one in ("/usr/bin/aws", "/usr/local/bin/aws") if is_version_2(one)]
        if not aws:
            print("e2e: infra: smoke.sh is skipped, because the AWS CLI 2 is missing (apt-get install awscli)")
            return
        group = "/var/log/messages"
        logs, metrics = run.client("logs", self.url), run.client("cloudwatch", self.url)
        logs.create_log_group(logGroupName=group)
        carried = threading.Event()

        def carry():
            while not carried.is_set():
                time.sleep(1)
                with contextlib.suppress(logs.exceptions.ResourceNotFoundException):
                    stream = {"logGroupName": group, "logStreamName": "hiwake-smoke"}
                    events = logs.get_log_events(**stream)["events"]
                    if not events:
                        continue
                    carried.set()
                    made = [
                        {"id": str(n), "timestamp": one["timestamp"], "message": one["message"]}
                        for n, one in enumerate(events)
                    ]
                    envelope = {**self.envelope, "logStream": "hiwake-smoke", "logEvents": made}
                    data = gzip.compress(json.dumps(envelope).encode())
                    self.firehose.put_record(DeliveryStreamName=NAME, Record={"Data": data})
                    dimensions = [{"Name": "Pipeline", "Value": NAME}]
                    row = {"MetricName": "RowsLanded", "Dimensions": dimensions, "Value": 1}
                    metrics.put_metric_data(Namespace="hiwake", MetricData=[row])

        threading.Thread(target=carry, daemon=True).start()
        with tempfile.TemporaryDirectory() as shim:
            # An older AWS CLI does not read AWS_ENDPOINT_URL.
            command = pathlib.Path(shim) / "aws"
            command.write_text(f'#!/bin/sh\nexec {aws[0]} --endpoint-url {self.url} "$@"\n')
            command.chmod(0o755)
            environment = {
                "PATH": f"{shim}:/usr/bin:/bin", "HOME": shim, "AWS_DEFAULT_REGION": run.REGION,
                "AWS_ACCESS_KEY_ID": "000000000000", "AWS_SECRET_ACCESS_KEY": "test",
            }
            script = [INFRA / "smoke.sh", "--no-deploy", "--root", self.root, group, NAME]
            done = subprocess.run(
                script, env=environment, capture_output=True, text=True, timeout=300, check=False)
        carried.set()
        print(done.stdout + done.stderr, end="")
        assert done.returncode == 0, done.returncode
        for said in (f"    {run.LABELS},hiwake smoke ", "and it is there: "):
            assert said in done.stdout, done
        print("e2e: infra: the smoke test saw its line")

    def calls_are_those_that_iam_is_asked_about(self):
        """tests/e2e/calls.json lists the recorded calls; infra/test/iam.test.ts checks that the policies allow them."""
        outputs = self.outputs()
        names = {outputs["DeliveryBucket"]: "Delivery", outputs["BackupBucket"]: "Backup"}
        asked = [
            {"function": what, "action": action, "bucket": names.get(bucket, bucket), "prefix": prefix}
            for what, recorder in self.recorders.items() for action, bucket, prefix in sorted(recorder.asked)
        ]
        asked.sort(key=lambda one: list(one.values()))
        text = "[\n" + ",\n".join(f" {json.dumps(one)}" for one in asked) + "\n]\n"
        calls = run.REPOSITORY / "tests/e2e/calls.json"
        if "--record" in sys.argv:
            calls.write_text(text)
        assert calls.read_text() == text, f"tests/e2e/calls.json differs from the recorded calls (--record writes it):\n{text}"
        print(f"e2e: infra: {len(asked)} kinds of calls, as tests/e2e/calls.json lists them")

    def the_schedules_event_seals_it(self):
        listed = self.scheduler.list_schedules()["Schedules"]
        schedule = self.scheduler.get_schedule(Name=listed[0]["Name"], GroupName=listed[0]["GroupName"])
        target = schedule["Target"]
        answer = self.functions.invoke(FunctionName=target["Arn"], Payload=target["Input"].encode())
        text = answer["Payload"].read()
        assert "FunctionError" not in answer, text
        [sealed] = json.loads(text)["sealed"]
        assert (self.root / sealed["path"]).read_text() == self.line, sealed
        assert self.day_files() == [self.line]
        print(f"e2e: infra: {sealed['path']} is sealed")


if __name__ == "__main__":
    main()
