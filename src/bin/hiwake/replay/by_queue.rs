//! `hiwake replay --queue`: sends a notice of each object to the land function.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use anyhow::Context;
use hiwake::aws::MESSAGES;
use hiwake::config::state_folder_from_env;
use hiwake::disk::RealDisk;
use hiwake::notice::{self, Created, s3_event};
use hiwake::replay::Replay;
use hiwake::store::Object;
use serde_json::json;

use super::{Found, report};
use crate::output::{count, err, out};
use crate::progress::Progress;

/// The counts of the notices.
#[derive(Default)]
struct Sent {
    notices: usize,
    bytes: u64,
    failed: usize,
    /// Objects that an earlier run of the same command sent.
    before: usize,
}

pub fn run(found: Found<'_>, url: &str) -> anyhow::Result<ExitCode> {
    let args = found.args;
    let (verb, sent) = match args.dry_run {
        true => {
            let objects = &found.objects;
            objects.iter().filter(|_| !args.json).for_each(|object| out!("{}", object.id.place()));
            let bytes = objects.iter().map(|object| object.size).sum();
            ("would send", Sent { notices: objects.len(), bytes, ..Sent::default() })
        }
        false => ("sent", send(found, url)?),
    };
    let Sent { notices, bytes, failed, before } = sent;
    if args.json {
        let answer = json!({
            "notices": notices, "not_sent": failed, "bytes": bytes, "sent_before": before, "queue": url,
        });
        out!("{answer}");
    } else {
        let (notices, bytes) = (count(notices, "notice"), count(bytes, "byte"));
        out!("{verb} {notices} of {bytes} of objects to {url}, {failed} not sent");
        if before > 0 {
            out!("{before} were sent by an interrupted run of the same replay");
        }
    }
    Ok(ExitCode::from(u8::from(failed > 0)))
}

fn send(found: Found<'_>, url: &str) -> anyhow::Result<Sent> {
    let Found { config, args, scope, objects, .. } = found;
    let queue = crate::aws()?.queue(url);
    let folder = state_folder_from_env()?;
    let disk = RealDisk::create(&folder).context("the progress cannot be noted")?;
    let notes = crate::lander(&disk, config, &args.now);
    let how = notice::Replay { plain: args.include_plain };
    let command = format!("{scope}\n{url}\n{how:?}");
    let mut replay = Replay::begin(&notes, "queued", &command, args.before.from_start)?;
    let found = objects.len();
    let left = replay.left(objects);
    let mut sent = Sent { before: found - left.len(), ..Sent::default() };
    report::resuming(sent.before, "sent");
    let progress = Progress::of_bytes("queueing", left.iter().map(|object| object.size).sum());
    let notice = |object: &Object| {
        let (id, size) = (object.id.clone(), Some(object.size));
        let created = Created { id, size, replay: Some(how) };
        s3_event(&created, args.now.clock().now()).to_string()
    };
    for batch in left.chunks(MESSAGES) {
        let results = match queue.send(&batch.iter().map(notice).collect::<Vec<_>>()) {
            Ok(results) => results,
            Err(error) => {
                let first = batch.first().map(|object| object.id.place()).unwrap_or_default();
                progress.suspend(|| err!("not sent: {first} and all after it: {error}"));
                break;
            }
        };
        replay.add(batch, &results, &BTreeSet::new())?;
        for (object, result) in batch.iter().zip(&results) {
            match result {
                Ok(()) => {
                    sent.notices += 1;
                    sent.bytes += object.size;
                    progress.done().fetch_add(object.size, Ordering::Relaxed);
                }
                Err(error) => {
                    progress.suspend(|| err!("not sent: {}: {error}", object.id.place()));
                }
            }
        }
    }
    drop(progress);
    sent.failed = left.len() - sent.notices;
    if sent.failed == 0 {
        replay.finish()?;
    } else {
        err!("run the same command again: it resumes with the notices that were not sent");
    }
    Ok(sent)
}
