//! What a command says: results on standard output, problems on standard error.
//!
//! Work never depends on who listens. A reader that is gone ends the printing, not the command, and
//! a problem that nobody can be told is no reason to stop; the exit code stays the command's
//! outcome.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::ColorChoice;
use clap::builder::styling::AnsiColor;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

/// Why nothing more is printed on standard output.
static ENDED: OnceLock<io::Error> = OnceLock::new();

/// Prints a line of results.
macro_rules! out {
    ($($words:tt)*) => { $crate::output::result(format_args!($($words)*)) };
}

/// Prints a line about a problem, or about progress.
macro_rules! err {
    ($($words:tt)*) => { $crate::output::problem(format_args!($($words)*)) };
}

/// Prints a line about something that is as it should be, unless `--quiet` was given.
macro_rules! note {
    ($($words:tt)*) => {
        if !$crate::output::is_quiet() { $crate::output::problem(format_args!($($words)*)) }
    };
}

/// Prints a line where `--verbose` was given.
macro_rules! detail {
    ($($words:tt)*) => {
        if $crate::output::is_verbose() { $crate::output::problem(format_args!($($words)*)) }
    };
}

pub(crate) use {detail, err, note, out};

/// How much is said: `--quiet`, `--verbose`.
static DETAIL: OnceLock<(bool, bool)> = OnceLock::new();

/// Once, before anything is said.
pub fn set_detail(quiet: bool, verbose: bool) {
    DETAIL.get_or_init(|| (quiet, verbose));
}

/// Whether only faults are said.
pub fn is_quiet() -> bool {
    DETAIL.get().is_some_and(|(quiet, _)| *quiet)
}

/// Whether more is said.
pub fn is_verbose() -> bool {
    DETAIL.get().is_some_and(|(_, verbose)| *verbose)
}

/// `out!` by its macro.
pub fn result(line: Arguments<'_>) {
    if ENDED.get().is_none() {
        ended(writeln!(io::stdout(), "{line}"));
    }
}

/// What became of printing on standard output. After an error nothing more is printed.
pub fn ended(printed: io::Result<()>) {
    if let Err(error) = printed {
        ENDED.set(error).ok();
    }
}

/// `err!` by its macro.
pub fn problem(line: Arguments<'_>) {
    // There is nowhere to report that nothing can be reported.
    writeln!(io::stderr(), "{line}").ok();
}

/// The exit code of a command whose outcome is `code`: 1 where its results could not be printed
/// although somebody wanted them.
pub fn exit_code(code: ExitCode) -> ExitCode {
    match ENDED.get() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            err!("standard output: cannot write the results: {error}");
            if code == ExitCode::SUCCESS { ExitCode::FAILURE } else { code }
        }
        _ => code,
    }
}

/// A table for the eye: columns with blanks between them, those of `numbers` to the right. Long
/// texts are folded where it would be wider than `width`.
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

/// `--color`: `auto` asks the terminal, and the variables `NO_COLOR` and `CLICOLOR_FORCE`.
pub fn color(choice: ColorChoice) {
    let choice = match choice {
        ColorChoice::Auto => return,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
}

/// A table with the words of one column in colour, where standard output shows colours.
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
