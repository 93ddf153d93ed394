//! The Lambda functions: what an invocation does, what it counts, how it is called.

#[cfg(feature = "transform")]
mod check;
pub mod land;
pub mod metrics;
#[cfg(feature = "transform")]
pub mod runtime;

use std::fmt;

/// Why an invocation fails: Lambda's errorType and errorMessage.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// `hiwake.` and `UnknownEvent`, `NotLanded`, `SealFailed`, `Root` or `Bug`.
    pub kind: &'static str,
    /// What failed, in words.
    pub message: String,
}

/// As `lambda_runtime` logs it.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

/// A line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// It is retried by itself.
    Retried(String),
    /// It does not: somebody has to look.
    GivenUp(String),
}
