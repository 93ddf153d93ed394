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

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

/// Why nothing more is printed on standard output.
static ENDED: OnceLock<io::Error> = OnceLock::new();

/// Prints a line of results.
macro_rules! out {
    ($($words:tt)*) => { $crate::output::result(format_args!($($words)*)) };
}

/// Prints a line about a problem, or about what goes on.
macro_rules! err {
    ($($words:tt)*) => { $crate::output::problem(format_args!($($words)*)) };
}

pub(crate) use {err, out};

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
