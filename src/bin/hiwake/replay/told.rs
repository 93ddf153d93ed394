//! What a replay tells: what would land where, what was refused, what it came to.

use comfy_table::{CellAlignment, Table};
use hiwake::land::Tally;
use hiwake::land::guard::Rerouted;
use hiwake::land::routing;
use hiwake::replay::plan::{DayPlan, Looked, Plan};
use serde_json::json;

use crate::output::{err, out};

/// Says what an earlier run of the same command has done, if it was cut off.
pub fn goes_on(before: usize, done: &str) {
    if before > 0 {
        err!(
            "goes on after {before} objects that the same command has {done} before it was cut off; what was removed since does not come back: --from-start begins anew"
        );
    }
}

/// Names what could not be looked at.
pub fn not_read(plan: &Plan) {
    for error in &plan.failed {
        err!("not read: {error}");
    }
}

/// Says what would land where, and that nothing was. `count`: how many objects there are to look into.
pub fn refused(looked: &Looked, count: usize) {
    let Looked { plan, objects } = looked;
    let more = match count - objects {
        0 => String::new(),
        more => format!(" ({more} more objects of that time were not looked into)"),
    };
    let why = match plan.why {
        Some(Rerouted::Rows) => {
            "are rows of another routing, and may have landed in other files as records of the present one".to_owned()
        }
        Some(Rerouted::Records { until }) => format!(
            "were delivered under another routing ({}), and may have landed in other files",
            routing::in_use(until)
        ),
        None => String::new(),
    };
    err!(
        "nothing was landed: {} of the {objects} objects that were looked into hold {} events that {why}{more}. With --reroute they land once more, so:\n{}",
        plan.refused_objects.len(),
        plan.refused_events(),
        table(&plan.refused)
    );
    err!(
        "With --since, only later objects are read; .hiwake/routing below the root lists the routings."
    );
}

/// A line for each day file.
pub fn table(days: &[DayPlan]) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["FILE", "DAY", "EVENTS", "THERE", "NEW", "GO TO"]);
    for day in days {
        let name = match (day.closed, day.late, day.new) {
            (true, _, _) => "quarantine: the day is closed".to_owned(),
            (false, _, 0) => String::new(),
            (false, true, _) => "the late file".to_owned(),
            (false, false, _) => format!("{}/{}.{}", day.file, day.day, day.kind.extension()),
        };
        let looked = |number: u64| if day.closed { "-".to_owned() } else { number.to_string() };
        let (events, there, new) = (day.events.to_string(), looked(day.there), looked(day.new));
        table.add_row([day.file.clone(), day.day.clone(), events, there, new, name]);
    }
    for column in 2..=4 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// read = new + there before + skipped, by reason.
pub struct Summary {
    pub tally: Tally,
    /// Objects that an earlier run of the same command has landed.
    pub before: usize,
    /// Objects that could not be landed.
    pub failed: u64,
    /// Events of [`Tally::deferred`] that are refused.
    pub refused: u64,
}

impl Summary {
    /// Of what would be landed.
    pub fn planned(plan: &Plan, tally: Tally) -> Summary {
        let (failed, refused) = (plan.failed.len() as u64, plan.refused_events());
        Summary { tally, before: 0, failed, refused }
    }

    pub fn print(&self, verb: &str, json: bool) {
        let Tally { objects, lines, late, duplicates, .. } = self.tally;
        let reasons = self.reasons();
        let skips: u64 = reasons.iter().map(|(_, _, count)| count).sum();
        let read = lines + duplicates + skips;
        if json {
            let by_reason: serde_json::Map<_, _> =
                reasons.iter().map(|(name, _, count)| ((*name).to_owned(), json!(count))).collect();
            let answer = json!({
                "objects": objects, "objects_failed": self.failed, "objects_landed_before": self.before,
                "read": read, "new": lines, "late": late, "there_before": duplicates, "skipped": skips,
                "skipped_by_reason": by_reason,
            });
            out!("{answer}");
            return;
        }
        out!(
            "{verb} {read} events of {objects} objects: {lines} new lines ({late} late), {duplicates} there before, {skips} skipped"
        );
        for (_, reason, count) in reasons.iter().filter(|(_, _, count)| *count > 0) {
            out!("skipped {count}: {reason}");
        }
        if self.before > 0 {
            let before = self.before;
            out!("{before} objects were landed by the same replay before it was cut off");
        }
    }

    /// Why events were skipped: for a program, for a person, and how many.
    fn reasons(&self) -> [(&'static str, &'static str, u64); 7] {
        let tally = &self.tally;
        [
            ("other_day", "of another day", tally.other_day),
            ("other_log_group", "of another log group", tally.other_log_group),
            ("plain_text", "plain text (--include-plain lands it)", tally.plain_left_out),
            ("no_events", "control messages and records without events", tally.dropped),
            ("quarantined", "put into quarantine", tally.quarantined),
            ("refused", "of another routing (--reroute lands them)", self.refused),
            ("not_landed", "not landed", tally.deferred.saturating_sub(self.refused)),
        ]
    }
}
