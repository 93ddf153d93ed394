//! `infra/smoke.sh`, run to its end with stand-ins for `aws`, `npx` and `sleep` on its path. They
//! answer from files and note their calls: what AWS answers is asserted nowhere here.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::json;

use crate::given::{folder, put};

/// Answers as the AWS CLI 2 does, from the files beside it.
const AWS: &str = r#"#!/bin/bash
cd "$(dirname "$0")/.."
echo "$*" >>calls
last=${!#}
case "$1 $2" in
--version*) cat version ;;
"cloudformation describe-stacks")
    key=${last#*OutputKey==\'} && key=${key%%\'*}
    echo "${key}Value" | sed "s|SealCommandValue|$(cat seal)|" ;;
"lambda invoke")
    case "$*" in
    *'"hold_s":20'*) name=first ;;
    *'"hold_s":0'*) name=second ;;
    *) name=again ;;
    esac
    cat "$name" >"$last" && cat "$name.call" ;;
"logs create-log-stream") [ ! -e stream ] || { cat stream >&2; exit 254; } ;;
"logs put-log-events") echo "${last#*message=}" >text ;;
"s3api list-objects-v2") [ -e keys ] && cat keys || echo None; echo landing/x y >keys ;;
"s3 cp") sed "s|TEXT|$(cat text)|" object | zstd -qc >"$last" ;;
"cloudwatch get-metric-statistics") cat metric ;;
*) echo "unknown: $*" >&2; exit 1 ;;
esac
"#;

struct Smoke(tempfile::TempDir);

impl Smoke {
    /// An account in which all is right.
    fn new() -> Smoke {
        let smoke = Smoke(tempfile::tempdir().unwrap());
        fs::create_dir(smoke.path("bin")).unwrap();
        for (name, script) in [
            ("aws", AWS),
            ("npx", "#!/bin/sh\necho \"npx $*\" >>\"$(dirname \"$0\")/../calls\"\n"),
            ("npm", "#!/bin/sh\necho \"npm $*\" >>\"$(dirname \"$0\")/../calls\"\n"),
            ("sleep", "#!/bin/sh\n"),
        ] {
            let path = put(&smoke.path("bin"), name, script.as_bytes());
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let check = |says: &str| {
            let check = json!({"check": "lock between executions", "ok": true, "says": says});
            json!({"ok": true, "checks": [check]}).to_string()
        };
        let header = |file: &str| {
            let header = json!({"file": file, "kind": "csv", "day": "2026-11-29"}).to_string();
            header.replacen('{', "{\"hiwake\":2,", 1)
        };
        let [other, ours] = [header("x"), header("messages")];
        for (name, text) in [
            ("version", "aws-cli/2.9.19 Python/3.11.2".to_owned()),
            ("first", check("taken for 20 s")),
            ("second", check("held by another execution: locks hold")),
            ("first.call", "{\"StatusCode\": 200}".to_owned()),
            ("second.call", "{\"StatusCode\": 200}".to_owned()),
            ("object", format!("{other}\n1 ~A other\n{ours}\n2 ~B L,x\n3 ~C L,TEXT\n")),
            ("metric", "2.0\n".to_owned()),
            ("seal", "echo sealed".to_owned()),
        ] {
            smoke.write(name, &text);
        }
        smoke.landed_again(&json!({"RowsIn": 2, "RowsDuplicate": 2, "RowsLanded": 0}));
        smoke
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        put(self.0.path(), name, text.as_bytes());
    }

    /// What land's log says of the second landing.
    fn landed_again(&self, rows: &serde_json::Value) {
        let log = format!("START RequestId: x\n{rows}\nREPORT RequestId: x\n");
        self.write("again", "{\"batchItemFailures\":[]}");
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, log);
        self.write("again.call", &json!({"StatusCode": 200, "LogResult": encoded}).to_string());
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new("bash");
        command.arg(folder().join("infra/smoke.sh")).args(args);
        command.env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()));
        command.output().unwrap()
    }

    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it says when it fails.
    fn fails(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("smoke: ok"), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.path("calls")).unwrap()
    }
}

#[test]
fn it_deploys_puts_one_event_shows_its_line_and_seals() {
    let smoke = Smoke::new();
    let said = smoke.ok(&["/var/log/messages"]);
    let text = fs::read_to_string(smoke.path("text")).unwrap();
    assert!(text.starts_with("hiwake smoke "), "{text}");
    let line = format!("landed once in messages/2026-11-29.csv:\n    L,{text}");
    assert!(said.contains(&line), "{said}");
    assert!(said.contains("sealed\n") && said.contains("smoke: ok"), "{said}");
    let calls = smoke.calls();
    // In this order; the key as S3 writes it into a notice.
    let order = [
        "npx --no-install cdk deploy --no-notices hiwake",
        "--payload {\"hiwake\":\"selftest\",\"hold_s\":20,\"prefixes\":[\"s3://DeliveryBucketValue/landing/\",\"s3://BackupBucketValue/backup/\"]}",
        "logs put-log-events --log-group-name /var/log/messages",
        "s3 cp --only-show-errors s3://DeliveryBucketValue/landing/x y",
        "--metric-name RowsLanded --dimensions Name=Pipeline,Value=hiwake",
        "\"object\":{\"key\":\"landing%2Fx%20y\"}",
        "SealCommand",
    ];
    let at = order.map(|call| calls.find(call).unwrap_or_else(|| panic!("{call} in {calls}")));
    assert!(at.is_sorted(), "{calls}");
}

#[test]
fn a_stack_that_is_deployed_is_left_as_it_is() {
    let smoke = Smoke::new();
    smoke.write("stream", "An error occurred (ResourceAlreadyExistsException)");
    smoke.ok(&["--no-deploy", "/var/log/messages", "logs"]);
    let calls = smoke.calls();
    assert!(!calls.contains("cdk") && calls.contains("--function-name logs-land"), "{calls}");
}

#[test]
fn with_a_mount_the_line_is_looked_for_in_its_file() {
    let smoke = Smoke::new();
    let root = smoke.path("root");
    fs::create_dir_all(root.join("messages")).unwrap();
    let args = ["--no-deploy", "--root", root.to_str().unwrap(), "/var/log/messages"];
    assert!(smoke.fails(&args).contains("0 lines of"));
    // The line lands while the script waits.
    let lands = "#!/bin/sh\ncd \"$(dirname \"$0\")/..\"\n\
        [ ! -e text ] || sed 's/^/L,/' text >root/messages/2026-11-29.csv.open\n";
    put(&smoke.path("bin"), "sleep", lands.as_bytes());
    fs::remove_file(smoke.path("keys")).unwrap();
    assert!(smoke.ok(&args).contains("and it is there: "));
}

/// Whatever is wrong is said, and nothing after it is done.
#[test]
fn each_step_that_fails_ends_it_with_what_to_do() {
    let wrong = json!({"ok": false, "checks": [{"check": "lock", "ok": false, "says": "mount"}]});
    let held = fs::read_to_string(Smoke::new().path("first")).unwrap();
    let of = |change: &dyn Fn(&Smoke), says: &str, never: &str| {
        let smoke = Smoke::new();
        change(&smoke);
        let said = smoke.fails(&["--no-deploy", "/var/log/messages"]);
        assert!(said.contains(says), "{said}");
        assert!(!smoke.calls().contains(never), "{}", smoke.calls());
    };
    let set = |name: &'static str, text: String| move |smoke: &Smoke| smoke.write(name, &text);
    of(&set("version", "aws-cli/1.45.11".into()), "install version 2", "lambda");
    of(&set("first", wrong.to_string()), "the self-test found something wrong", "put-log-events");
    of(&set("second", held), "two executions held one lock", "put-log-events");
    let error = json!({"StatusCode": 200, "FunctionError": "Unhandled"}).to_string();
    of(&set("first.call", error.clone()), "land failed: ", "put-log-events");
    of(&set("stream", "AccessDenied".into()), "AccessDenied", "put-log-events");
    of(&set("object", "1 ~A other\n".into()), "is in no object of landing/", "RowsLanded");
    of(&set("metric", "0.0".into()), "no row has landed for 15 minutes", "ObjectCreated");
    of(&set("metric", "AccessDenied".into()), "RowsLanded cannot be read: AccessDenied", "Created");
    let late = |smoke: &Smoke| {
        smoke.landed_again(&json!({"RowsIn": 2, "RowsDuplicate": 1, "RowsLanded": 1}));
    };
    of(&late, "landing/x y had not landed by its notice", "SealCommand");
    of(&set("again.call", error), "land failed: ", "SealCommand");
    of(&set("seal", "echo FunctionError".into()), "sealing failed", "never");
    let smoke = Smoke::new();
    assert!(smoke.fails(&["--nodeploy", "g"]).contains("--nodeploy is not an option"));
}
