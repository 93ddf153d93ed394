//! Formats an error and all its causes on one line.

use std::error::Error;
use std::iter::successors;

/// An error and its causes, outermost first.
pub(crate) fn causes(error: &dyn Error) -> impl Iterator<Item = &dyn Error> {
    successors(Some(error), |&error| error.source())
}

/// An error and its causes. A cause that an error's text already contains is not repeated.
pub fn in_words(error: &dyn Error) -> String {
    causes(error).fold(String::new(), |mut said, cause| {
        let cause = cause.to_string();
        if !said.contains(&cause) {
            let between = if said.is_empty() { "" } else { ": " };
            said = format!("{said}{between}{cause}");
        }
        said
    })
}
