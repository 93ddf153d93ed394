//! Notices of S3, SNS, SQS and EventBridge: what no fixture of `events/` shows.

use hiwake::notice::{Created, Notice, NoticeError, s3_event};
use hiwake::store::ObjectId;
use serde_json::{Value, json};

use crate::given::sqs_event;

/// What a notice says, as the `*.expected.json` files write it.
pub fn told(event: &[u8]) -> Value {
    let messages = match Notice::read(event) {
        Ok(Notice::Seal) => return json!("seal"),
        Ok(Notice::SelfTest(_)) => return json!("selftest"),
        Ok(Notice::Objects(messages)) => messages,
        Err(error) => return json!({ "error": error.to_string() }),
    };
    let object = |created: &Created| {
        json!({
            "bucket": created.id.bucket,
            "key": created.id.key,
            "etag": created.id.etag,
            "version": created.id.version,
            "size": created.size,
        })
    };
    let message = |message: &hiwake::notice::Message| {
        json!({
            "message_id": message.message_id,
            "objects": message.objects.iter().map(object).collect::<Vec<_>>(),
            "ignored": message.ignored,
            "error": message.error.as_ref().map(NoticeError::to_string),
        })
    };
    json!(messages.iter().map(message).collect::<Vec<_>>())
}

#[test]
fn seal_is_told_by_its_own_event_only() {
    assert_eq!(told(br#"{"hiwake":"seal"}"#), "seal");
    let error = told(br#"{"hiwake":"unseal"}"#)["error"].to_string();
    assert!(error.contains("`hiwake`") && !error.contains("unseal"), "{error}");
}

#[test]
fn what_is_unknown_is_named_by_its_keys_and_never_its_values() {
    let cases: [(&[u8], &str); 5] = [
        (b"not json", "the event is not a JSON object"),
        (b"[]", "the event is not a JSON object"),
        (b"{}", "its keys are none"),
        (
            br#"{"detail":{"secret":1},"detail-type":"Object Created"}"#,
            "its keys are `detail`, `detail-type`",
        ),
        (br#"{"Records":"secret"}"#, "its keys are `Records`"),
    ];
    for (event, expected) in cases {
        let error = told(event)["error"].as_str().unwrap().to_owned();
        assert!(error.contains(expected) && !error.contains("secret"), "{error}");
    }
}

#[test]
fn an_event_for_another_function_is_named_with_what_to_do() {
    let firehose = json!({"invocationId": "i", "deliveryStreamArn": "secret", "records": []});
    let kinesis =
        json!({"Records": [{"kinesis": {"data": "secret"}, "eventSource": "aws:kinesis"}]});
    let cases = [
        (
            firehose,
            "this is what Firehose sends to transform; have the Firehose stream call transform, not land",
        ),
        (json!({"awslogs": {"data": "secret"}}), "point the filter at the Firehose stream"),
        (kinesis, "make the data stream the source of the Firehose stream"),
        (json!({"requestContext": {}, "body": "secret"}), "this is an HTTP request"),
    ];
    for (event, expected) in cases {
        let told = told(event.to_string().as_bytes()).to_string();
        assert!(told.contains(expected) && !told.contains("secret"), "{told}");
    }
}

#[test]
fn an_unknown_events_keys_are_named_up_to_a_bound() {
    let keys: String = (0..1000).map(|n| format!(",\"k{n:03}{}\":1", "x".repeat(100))).collect();
    let error = Notice::read(format!("{{{}}}", &keys[1..]).as_bytes()).unwrap_err().to_string();
    assert!(error.contains(&format!("`k000{}`, `k001", "x".repeat(60))), "{error}");
    assert!(error.ends_with("and 980 more") && error.len() < 2000, "{error}");
}

#[test]
fn a_folder_of_the_consoles_is_ignored() {
    let notice = |key: &str, size: u64| {
        let object = json!({"key": key, "size": size});
        let s3 = json!({"bucket": {"name": "b"}, "object": object});
        told(
            json!({"Records": [{"eventName": "ObjectCreated:Put", "s3": s3}]})
                .to_string()
                .as_bytes(),
        )
    };
    let by_event_bridge = |key: &str, size: u64| {
        let detail = json!({"bucket": {"name": "b"}, "object": {"key": key, "size": size}});
        let event = json!({"source": "aws.s3", "detail-type": "Object Created", "detail": detail});
        told(event.to_string().as_bytes())
    };
    let counts =
        |told: Value| (told[0]["objects"].as_array().unwrap().len(), told[0]["ignored"].clone());
    assert_eq!(counts(notice("landing/", 0)), (0, json!(1)));
    assert_eq!(counts(notice("landing/", 1)), (1, json!(0)));
    assert_eq!(counts(by_event_bridge("landing/", 0)), (0, json!(1)));
    assert_eq!(counts(by_event_bridge("landing/", 1)), (1, json!(0)));
}

#[test]
fn values_of_a_malformed_notice_are_not_told() {
    for (bucket, object) in [
        (json!({"name": "b"}), json!({"key": "k", "size": "secret"})),
        (json!({"name": "b"}), json!({"size": 1, "versionId": "secret"})),
        (json!({"arn": "secret"}), json!({"key": "k"})),
    ] {
        let s3 = json!({"bucket": bucket, "object": object});
        let event = json!({"Records": [{"eventName": "ObjectCreated:Put", "s3": s3}]});
        let told = told(event.to_string().as_bytes());
        let error = told[0]["error"].as_str().unwrap();
        assert!(error.starts_with("the S3 notice cannot be read"), "{error}");
        assert!(!error.contains("secret") && told[0]["objects"] == json!([]), "{told}");
    }
}

#[test]
fn a_key_that_is_no_text_fails_its_message_only() {
    let record = |key: &str| json!({"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":key}}});
    let event = json!({"Records": [
        {"messageId": "1", "body": json!({"Records": [record("%FF"), record("good")]}).to_string()},
        {"messageId": "2", "body": json!({"Records": [record("a")]}).to_string()},
    ]});
    let Notice::Objects(messages) = Notice::read(event.to_string().as_bytes()).unwrap() else {
        panic!("no objects");
    };
    let error = messages[0].error.as_ref().map(NoticeError::to_string);
    assert_eq!(error.as_deref(), Some("the S3 notice's key is not UTF-8"));
    assert_eq!(messages[0].objects[0].id.key, "good");
    assert_eq!((messages[1].objects.len(), &messages[1].error), (1, &None));
}

/// A topic fans out what S3 or EventBridge told it; raw delivery leaves its wrapping out.
#[test]
fn a_notice_is_the_same_however_it_was_carried() {
    let s3 = s3_event(&created("a b+c%"), 1_650_214_747_000);
    let object = json!({"key": "a b+c%", "size": 3, "etag": "e", "version-id": "v"});
    let detail = json!({"bucket": {"name": "out/some folder"}, "object": object});
    let bridged = json!({"source": "aws.s3", "detail-type": "Object Created", "detail": detail});
    for notice in [s3, bridged] {
        let message = json!({"Type": "Notification", "Message": notice.to_string()});
        let sns = json!({"Records": [{"EventSource": "aws:sns", "Sns": message}]});
        let carried =
            [sqs_event(std::slice::from_ref(&notice)), sqs_event(&[message]), sns, notice];
        for event in carried {
            let Notice::Objects(messages) = Notice::read(event.to_string().as_bytes()).unwrap()
            else {
                panic!("no objects");
            };
            assert_eq!((&messages[0].error, messages.len()), (&None, 1), "{event}");
            assert_eq!(messages[0].objects, [created("a b+c%")], "{event}");
        }
    }
}

#[test]
fn an_sns_message_that_says_nothing_is_named_by_its_keys() {
    for (message, expected) in [
        (json!("{\"secret\":1}"), "the SNS message is not an S3 notice"),
        (json!("secret"), "the SNS message is not a JSON object"),
        (json!({"secret": 1}), "the S3 notice cannot be read"),
    ] {
        let sns = json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": message}}]});
        let error = told(sns.to_string().as_bytes())[0]["error"].as_str().unwrap().to_owned();
        assert!(error.starts_with(expected), "{error}");
    }
}

fn created(key: &str) -> Created {
    let id = ObjectId {
        bucket: "out/some folder".into(),
        key: key.into(),
        etag: Some("e".into()),
        version: Some("v".into()),
    };
    Created { id, size: Some(3), replay: None }
}

#[test]
fn what_we_tell_is_what_is_read() {
    for key in ["a b+c", "a%20b", "日/本 ~!()'*", "plain/2022/04/18.gz", "q?#&=\"\\", " "] {
        let event = s3_event(&created(key), 1_650_214_747_000);
        let encoded = event["Records"][0]["s3"]["object"]["key"].as_str().unwrap();
        assert!(encoded.is_ascii() && !encoded.contains(' '), "{encoded}");
        let sqs = sqs_event(std::slice::from_ref(&event));
        for event in [&event, &sqs] {
            let Notice::Objects(messages) = Notice::read(event.to_string().as_bytes()).unwrap()
            else {
                panic!("no objects");
            };
            assert_eq!(messages[0].objects, [created(key)]);
        }
    }
}

/// The types that the rest of the world reads such events with take ours, and see the same in them.
#[test]
fn the_crates_types_read_what_we_write() {
    let body = s3_event(&created("a b"), 1_650_214_747_000);
    let event: aws_lambda_events::sqs::SqsEvent =
        serde_json::from_value(sqs_event(&[body])).unwrap();
    assert_eq!(event.records[0].message_id.as_deref(), Some("message-0"));
    let body = event.records[0].body.as_deref().unwrap();
    let theirs: aws_lambda_events::s3::S3Event = serde_json::from_str(body).unwrap();
    let record = &theirs.records[0];
    assert_eq!(record.event_name.as_deref(), Some("ObjectCreated:Put"));
    assert_eq!(record.s3.object.key.as_deref(), Some("a+b"));
    assert_eq!(record.s3.object.size, Some(3));
    // And back: what they write, we read.
    let Notice::Objects(messages) = Notice::read(&serde_json::to_vec(&theirs).unwrap()).unwrap()
    else {
        panic!("no objects");
    };
    assert_eq!(messages[0].objects, [created("a b")]);
}
