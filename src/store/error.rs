//! Why an object cannot be read. No error's text contains a credential.

use std::fmt;

/// The result of an operation on a store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why an object cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The object or folder does not exist. A lifecycle rule may have removed it; retrying does not
    /// help.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The object was replaced while it was read. Opening it again helps.
    #[error("{0} was changed while it was read: try it again")]
    Changed(String),
    /// A key that cannot be requested, e.g. with `//` or `..` in it, or a location that this build
    /// cannot open.
    #[error("{place}: {reason}")]
    Name {
        /// `bucket/key`, or the location as the user wrote it.
        place: String,
        /// What is wrong with it, or what to write instead.
        reason: String,
    },
    /// The store denies access, e.g. for lack of permission. S3 also denies access to a missing
    /// object if the caller may not list the bucket.
    #[error("{place}: access denied: {reason}")]
    Denied {
        /// `bucket/key`.
        place: String,
        /// What the store said.
        reason: String,
    },
    /// The caller's deadline passed before the store answered.
    #[error("{0}: no time was left to read it; it is retried")]
    Deadline(String),
    /// The network, the disk or a permission failed; retrying may help.
    #[error("{place}: {source}")]
    Other {
        /// `bucket/key`.
        place: String,
        /// What happened.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The codes of a 403 that concern the object itself, from S3's error reference.
const DENIED: [&str; 3] = ["AccessDenied", "AllAccessDisabled", "InvalidObjectState"];

impl StoreError {
    pub(crate) fn name(place: impl fmt::Display, reason: impl Into<String>) -> StoreError {
        StoreError::Name { place: place.to_string(), reason: reason.into() }
    }

    /// An error that happened at a place and does not name it itself.
    pub fn other(
        place: impl fmt::Display,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> StoreError {
        StoreError::Other { place: place.to_string(), source: error.into() }
    }

    pub(super) fn new(place: String, error: object_store::Error) -> StoreError {
        use object_store::Error;
        let text = error.to_string();
        let reason = said(&text);
        let code = element(&text, "Code").unwrap_or_default();
        match error {
            // The bucket's name, region or endpoint is wrong, which can be corrected.
            Error::NotFound { .. } if code == "NoSuchBucket" => StoreError::other(place, reason),
            Error::NotFound { .. } => StoreError::NotFound(place),
            Error::Precondition { .. } => StoreError::Changed(place),
            Error::InvalidPath { source } => StoreError::name(place, source.to_string()),
            // Other refusals concern the request, not the object: a wrong clock, key or token.
            Error::PermissionDenied { .. } if DENIED.contains(&code) => {
                StoreError::Denied { place, reason }
            }
            _ => StoreError::other(place, reason),
        }
    }
}

/// An error's text, in which an XML answer is reduced to its code and message: S3 repeats the
/// session token in `ExpiredToken`, and the access key in `SignatureDoesNotMatch`.
fn said(text: &str) -> String {
    let Some((before, _)) = text.split_once('<') else { return text.to_owned() };
    let told = ["Code", "Message"].into_iter().filter_map(|name| element(text, name));
    format!("{}{}", before.trim_start(), told.collect::<Vec<_>>().join(": "))
}

/// The content of an element of an XML answer.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once('<')?.0.trim())
}
