//! The report of a replay: what would land where, and the results.

use hiwake::land::Tally;
use hiwake::land::intake::plan::DayPlan;
use serde_json::json;

use crate::output::{self, count, note, out};

/// Reports what an interrupted run of the same command has done.
pub fn resuming(before: usize, done: &str) {
    if before > 0 {
        let before = count(before, "object");
        note!(
            "resuming: skipping {before} that an interrupted run already {done}; lines that were removed since do not come back (--from-start starts over)"
        );
    }
}

/// A line for each day file.
pub fn table(days: &[DayPlan]) -> String {
    let row = |day: &DayPlan| {
        let mut name = match (day.closed, day.late, day.new) {
            (true, _, _) => "quarantine: the day is closed".to_owned(),
            (false, _, 0) => String::new(),
            (false, true, _) => "the late file".to_owned(),
            (false, false, _) => format!("{}/{}.{}", day.file, day.day, day.kind.extension()),
        };
        if day.quarantined > 0 && !day.closed {
            name += &format!(" {} to quarantine: a closed day may have them", day.quarantined);
        }
        let looked = |number: u64| if day.closed { "-".to_owned() } else { number.to_string() };
        let (events, there, new) = (day.events.to_string(), looked(day.there), looked(day.new));
        [day.file.clone(), day.day.clone(), events, there, new, name]
    };
    let header = ["FILE", "DAY", "EVENTS", "LANDED", "NEW", "GO TO"];
    output::table(header, 2..5, None, days.iter().map(row))
}

/// Prints the result of a replay: read = new + already landed + skipped, by reason. An earlier run
/// of the same command landed `before` objects; `failed` objects could not land.
pub fn summary(verb: &str, tally: &Tally, (before, failed): (usize, u64), json: bool) {
    // The reasons for skipping events: as a JSON key, in words, and with their number.
    let reasons = [
        ("other_day", "of another day", tally.other_day),
        ("other_log_group", "of another log group", tally.other_log_group),
        ("filtered", "left out by `drop` or `keep`", tally.filtered),
        ("plain_text", "plain text (--include-plain lands it)", tally.plain_left_out),
        ("no_events", "control messages and records without events", tally.dropped),
        ("quarantined", "put into quarantine", tally.quarantined),
        ("not_landed", "not landed", tally.deferred),
    ];
    let Tally { objects, lines, late, duplicates, .. } = tally;
    let skips: u64 = reasons.iter().map(|(_, _, number)| number).sum();
    let read = lines + duplicates + skips;
    if json {
        let by_reason: serde_json::Map<_, _> =
            reasons.iter().map(|(name, _, number)| ((*name).to_owned(), json!(number))).collect();
        let answer = json!({
            "objects": objects, "objects_failed": failed, "objects_landed_before": before,
            "read": read, "new": lines, "late": late, "already_landed": duplicates, "skipped": skips,
            "skipped_by_reason": by_reason,
        });
        out!("{answer}");
        return;
    }
    let (read, objects) = (count(read, "event"), count(objects, "object"));
    let lines = count(lines, "new line");
    out!(
        "{verb} {read} of {objects}: {lines} ({late} late), {duplicates} already landed, {skips} skipped"
    );
    for (_, reason, number) in reasons.iter().filter(|(_, _, number)| *number > 0) {
        out!("skipped {number}: {reason}");
    }
    if before > 0 {
        let before = count(before, "object");
        out!("{before} already landed by an interrupted run of the same replay");
    }
}
