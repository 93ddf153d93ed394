//! An error with all that led to it, in one line.

use std::error::Error;
use std::iter::successors;

/// An error and what caused it, outermost first.
pub(crate) fn causes(error: &dyn Error) -> impl Iterator<Item = &dyn Error> {
    successors(Some(error), |&error| error.source())
}

/// An error and its causes; a cause that an error names itself is not said twice.
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
