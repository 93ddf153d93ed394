//! The output of a command: results on standard output, problems on standard error.
//!
//! No work depends on its readers. If the reader has gone, the printing ends, not the command. A
//! problem that cannot be printed is no reason to stop; the exit code still reports the command's
//! outcome.

use std::fmt::{Arguments, Display};
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::ColorChoice;
use clap::builder::styling::AnsiColor;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

/// The error that ended printing on standard output.
static ENDED: OnceLock<io::Error> = OnceLock::new();

/// Prints a line of results.
macro_rules! out {
    ($($words:tt)*) => { $crate::output::result(format_args!($($words)*)) };
}

/// Prints a line about a problem, or about progress.
macro_rules! err {
    ($($words:tt)*) => { $crate::output::problem(format_args!($($words)*)) };
}

/// Prints a line about something normal, unless `--quiet` is given.
macro_rules! note {
    ($($words:tt)*) => {
        if !$crate::output::is_quiet() { $crate::output::problem(format_args!($($words)*)) }
    };
}

/// Prints a line if `--verbose` is given.
macro_rules! detail {
    ($($words:tt)*) => {
        if $crate::output::is_verbose() { $crate::output::problem(format_args!($($words)*)) }
    };
}

pub(crate) use {detail, err, note, out};

/// Whether `--quiet` and `--verbose` are given.
static DETAIL: OnceLock<(bool, bool)> = OnceLock::new();

/// Sets the level of detail, once, before anything is printed.
pub fn set_detail(quiet: bool, verbose: bool) {
    DETAIL.get_or_init(|| (quiet, verbose));
}

/// Whether only problems are printed.
pub fn is_quiet() -> bool {
    DETAIL.get().is_some_and(|(quiet, _)| *quiet)
}

/// Whether details are printed.
pub fn is_verbose() -> bool {
    DETAIL.get().is_some_and(|(_, verbose)| *verbose)
}

/// Prints a line for `out!`.
pub fn result(line: Arguments<'_>) {
    if ENDED.get().is_none() {
        ended(writeln!(io::stdout(), "{line}"));
    }
}

/// Records the result of printing on standard output. After an error, nothing more is printed.
pub fn ended(printed: io::Result<()>) {
    if let Err(error) = printed {
        ENDED.set(error).ok();
    }
}

/// Prints a line for `err!`.
pub fn problem(line: Arguments<'_>) {
    // If stderr fails, there is nowhere left to report it.
    writeln!(io::stderr(), "{line}").ok();
}

/// The exit code of a command whose outcome is `code`, or 1 if its results could not be printed to
/// a reader that still exists.
pub fn exit_code(code: ExitCode) -> ExitCode {
    match ENDED.get() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            err!("standard output: cannot write the results: {error}");
            if code == ExitCode::SUCCESS { ExitCode::FAILURE } else { code }
        }
        _ => code,
    }
}

/// A number of things: `1 line`, `2 lines`.
pub fn count(number: impl Display, what: &str) -> String {
    let number = number.to_string();
    let plural = if number == "1" { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// A table with columns separated by blanks; those of `numbers` are right-aligned. Long texts are
/// folded if the table would be wider than `width`.
pub fn table<const N: usize>(
    header: [&str; N],
    numbers: Range<usize>,
    width: Option<u16>,
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header).add_rows(rows);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for column in table.column_iter_mut().skip(numbers.start).take(numbers.len()) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// Applies `--color`: `auto` depends on the terminal, and on `NO_COLOR` and `CLICOLOR_FORCE`.
pub fn color(choice: ColorChoice) {
    let choice = match choice {
        ColorChoice::Auto => return,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
}

/// A table with the words of one column coloured, if standard output shows colours.
pub fn paint(table: String, column: &str, color: impl Fn(&str) -> Option<AnsiColor>) -> String {
    let is_plain = anstream::AutoStream::choice(&io::stdout()) == anstream::ColorChoice::Never;
    let Some(at) = table.lines().next().and_then(|header| header.find(column)) else {
        return table;
    };
    if is_plain {
        return table;
    }
    let paint = |line: &str| {
        let (before, rest) = line.split_at_checked(at)?;
        let word = rest.split(' ').next()?;
        let style = color(word)?.on_default();
        Some(format!("{before}{style}{word}{style:#}{}", &rest[word.len()..]))
    };
    let lines: Vec<String> =
        table.lines().map(|line| paint(line).unwrap_or_else(|| line.to_owned())).collect();
    lines.join("\n")
}
