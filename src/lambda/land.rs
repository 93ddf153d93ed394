//! One invocation of the land function: what it is told → what is landed or sealed → what it
//! answers.
//!
//! Everything is done that can be done before anything is reported as failed: a message of SQS
//! is retried by itself, anything else fails the invocation at the end, so that its destination
//! tells a person.

use std::collections::BTreeMap;
use std::fmt;

use aws_lambda_events::sqs::SqsBatchResponse;
use serde_json::{Value, json};

use crate::lambda::metrics::{Metric, Metrics};
use crate::lambda::{Failure, Remark};
use crate::land::intake::quarantine::Quarantine;
use crate::land::intake::selection::Selection;
use crate::land::intake::tally::{Cause, NotLanded, Tally};
use crate::land::journal::lander::Lander;
use crate::land::upkeep::unsealed::oldest_unsealed;
use crate::notice::{Message, Notice, Replay};
use crate::object::Bad;
use crate::selftest::{self, Asked};
use crate::store::{Buckets, ObjectId, Store};

/// Deliveries after which an object that does not exist is given up. S3 answers consistently, so
/// one would do; two more let a wrong endpoint or a deleted version be put right, and cost two
/// requests.
const MISSING_RECEIVES: u32 = 3;
/// Deliveries after which an object that is denied is given up: half of the queue's maxReceiveCount
/// of 200. A policy that is wrong denies all objects, and mostly for hours at most: nothing is
/// given up meanwhile.
const DENIED_RECEIVES: u32 = 100;
/// How many failures an answer spells out.
const FAILURES_MAX: usize = 20;

/// What an invocation came to.
#[derive(Debug)]
#[must_use]
pub struct Invocation {
    /// The answer, or the function error.
    pub answer: Result<Value, Failure>,
    /// What is counted. I7: `RowsIn` = `RowsLanded` + `RowsDuplicate` + `RowsQuarantined` +
    /// `RowsDeferred`.
    pub metrics: Metrics,
    /// What a person may want to know, for the log: names and reasons, never what was logged.
    pub remarks: Vec<Remark>,
}

/// Does what an event says. `lander.deadline` is when the answer has to be ready.
pub fn invoke(lander: &Lander<'_>, stores: &Buckets<'_>, event: &[u8]) -> Invocation {
    match Notice::read(event) {
        Ok(Notice::Seal) => seal(lander),
        Ok(Notice::SelfTest(asked)) => test(lander, stores, &asked),
        Ok(Notice::Objects(messages)) => land(lander, stores, &messages),
        Err(error) => {
            let mut metrics = Metrics::default();
            metrics.add(Metric::NoticesUnreadable, 1_u64);
            let failure = Failure { kind: "hiwake.UnknownEvent", message: error.to_string() };
            Invocation { answer: Err(failure), metrics, remarks: Vec::new() }
        }
    }
}

/// `{"hiwake":"seal"}`: the answer lists what was published, and what failed: it is never lost for
/// one folder or day, so the invocation succeeds, and a metric rings the alarm.
fn seal(lander: &Lander<'_>) -> Invocation {
    let mut metrics = Metrics::default();
    let mut remarks = Vec::new();
    let answer = match lander.seal_and_announce() {
        Ok(swept) => {
            metrics.add(Metric::Sealed, swept.sealed.len());
            metrics.add(Metric::SealFailed, swept.failed.len());
            remarks.extend(swept.failed.iter().map(|error| Remark::GivenUp(error.to_string())));
            Ok(serde_json::to_value(swept.answer()).unwrap_or_default())
        }
        Err(error) => {
            metrics.add(Metric::SealFailed, 1_u64);
            Err(Failure { kind: "hiwake.SealFailed", message: error.to_string() })
        }
    };
    match oldest_unsealed(lander) {
        Ok(age) => metrics.add(Metric::OldestUnsealedAge, age / 1000),
        Err(error) => remarks.push(Remark::GivenUp(error.to_string())),
    }
    Invocation { answer, metrics, remarks }
}

/// `{"hiwake":"selftest"}`: what was checked, and what to do where it is wrong.
fn test(lander: &Lander<'_>, stores: &Buckets<'_>, asked: &Asked) -> Invocation {
    let checks = selftest::run(lander, stores, asked);
    let answer = Ok(json!({ "ok": checks.iter().all(|check| check.ok), "checks": checks }));
    Invocation { answer, metrics: Metrics::default(), remarks: Vec::new() }
}

/// The state of an object that was told of.
struct Target {
    id: ObjectId,
    /// Its length as the notice has it.
    size: u64,
    /// The most deliveries of any message that names it.
    receives: u32,
    result: Result<(), NotLanded>,
}

/// Objects by bucket, by how they are landed, and by key: one that is told of twice is read once,
/// as it is now.
type Objects = BTreeMap<(String, Option<Replay>), BTreeMap<String, Target>>;

/// Notices of objects: each message that is not done with is named in the answer.
fn land(lander: &Lander<'_>, stores: &Buckets<'_>, messages: &[Message]) -> Invocation {
    let (metrics, remarks) = (Metrics::default(), Vec::new());
    let mut done = Invocation { answer: Ok(Value::Null), metrics, remarks };
    let mut objects = targets(messages);
    done.metrics.landed(&Tally::default());
    for ((bucket, replay), targets) in &mut objects {
        let plain = replay.is_none_or(|replay| replay.plain);
        match stores(bucket) {
            Ok(store) => land_bucket(lander, &store, plain, targets, &mut done),
            Err(error) => {
                let failed = NotLanded { cause: Cause::from(&error), reason: error.to_string() };
                targets.values_mut().for_each(|target| target.result = Err(failed.clone()));
            }
        }
    }
    give_up(lander, &mut objects, &mut done);
    let (mut answer, mut failures) = (SqsBatchResponse::default(), Vec::new());
    for message in messages {
        done.metrics.add(Metric::NoticesIgnored, message.ignored);
        done.metrics.add(Metric::NoticesUnreadable, u64::from(message.error.is_some()));
        let mut reasons: Vec<String> = message.error.iter().map(ToString::to_string).collect();
        done.remarks.extend(reasons.iter().cloned().map(Remark::GivenUp));
        let results = message.objects.iter().filter_map(|created| {
            let targets = objects.get(&(created.id.bucket.clone(), created.replay))?;
            targets.get(&created.id.key)?.result.as_ref().err()
        });
        reasons.extend(results.map(ToString::to_string));
        match &message.message_id {
            _ if reasons.is_empty() => {}
            Some(id) => answer.add_failure(id),
            None => failures.append(&mut reasons),
        }
    }
    let results = objects.values().flat_map(BTreeMap::values).map(|target| &target.result);
    let failed: Vec<_> = results.filter_map(|result| result.as_ref().err()).collect();
    done.metrics.add(Metric::ObjectsFailed, failed.len());
    done.remarks.extend(failed.iter().map(|error| Remark::Retried(error.to_string())));
    failures.truncate(FAILURES_MAX);
    done.answer = match failures.is_empty() {
        true => Ok(json!(answer)),
        false => Err(Failure { kind: "hiwake.NotLanded", message: failures.join("; ") }),
    };
    done
}

fn targets(messages: &[Message]) -> Objects {
    let mut objects = Objects::new();
    for message in messages {
        for created in &message.objects {
            let bucket = (created.id.bucket.clone(), created.replay);
            let keys = objects.entry(bucket).or_default();
            let id = created.id.clone();
            let size = created.size.unwrap_or_default();
            let new = Target { id, size, receives: 0, result: Ok(()) };
            let target = keys.entry(created.id.key.clone()).or_insert(new);
            target.receives = target.receives.max(message.receives.unwrap_or_default());
        }
    }
    objects
}

fn land_bucket(
    lander: &Lander<'_>,
    store: &Store,
    plain: bool,
    targets: &mut BTreeMap<String, Target>,
    done: &mut Invocation,
) {
    // One that takes all the time there is does not hold up the others: small ones first, and
    // before them those that have failed less often.
    let mut targets: Vec<&mut Target> = targets.values_mut().collect();
    targets.sort_by_key(|target| (target.receives, target.size));
    let ids: Vec<ObjectId> = targets.iter().map(|target| target.id.clone()).collect();
    let landed = lander.land_selected(store, &ids, &Selection { plain, ..Selection::default() });
    for (target, result) in targets.into_iter().zip(landed.objects) {
        target.result = result;
    }
    done.metrics.landed(&landed.tally);
    done.metrics.codes(&landed.refused);
    done.remarks.extend(landed.reasons.iter().map(quarantined));
}

fn quarantined(reason: impl fmt::Display) -> Remark {
    Remark::GivenUp(format!("put into quarantine: {reason}"))
}

/// Objects that can never be read are put into quarantine by name, and are not retried.
fn give_up(lander: &Lander<'_>, objects: &mut Objects, done: &mut Invocation) {
    let mut quarantine = Quarantine::default();
    let mut given_up = Vec::new();
    for target in objects.values_mut().flat_map(BTreeMap::values_mut) {
        let Err(failed) = &target.result else { continue };
        if let Some(code) = hopeless(failed.cause, target.receives) {
            // Its identity and the reason, without bytes.
            let reason = &failed.reason;
            let bad = Bad { offset: 0, is_event: false, code, reason, length: 0, bytes: b"" };
            quarantine.add(&bad, &target.id.to_string());
            given_up.push((quarantined(failed), &mut target.result));
        }
    }
    match quarantine.write(lander) {
        Ok(0) => {}
        Ok(count) => {
            done.metrics.add(Metric::ObjectsQuarantined, count);
            for (remark, result) in given_up {
                *result = Ok(());
                done.remarks.push(remark);
            }
        }
        // They are retried.
        Err(error) => done.remarks.push(Remark::Retried(error.to_string())),
    }
}

/// Whether an object is never going to be read, and the code to say so.
fn hopeless(cause: Cause, receives: u32) -> Option<&'static str> {
    match cause {
        Cause::Name => Some("object-name"),
        Cause::Missing if receives >= MISSING_RECEIVES => Some("object-missing"),
        Cause::Denied if receives >= DENIED_RECEIVES => Some("object-denied"),
        _ => None,
    }
}
