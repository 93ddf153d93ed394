//! What can keep an object from being read. No error's text holds a credential.

use std::fmt;

/// What a store answers.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why an object cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No such object or folder. A lifecycle rule may have removed it; trying again does not help.
    #[error("{0} does not exist")]
    NotFound(String),
    /// The object was replaced while it was read. Opening it afresh helps.
    #[error("{0} was changed while it was read: try it again")]
    Changed(String),
    /// A key that cannot be asked for, e.g. with `//` or `..` in it, or a location that this build
    /// cannot open.
    #[error("{place}: {reason}")]
    Name {
        /// `bucket/key`, or the location as the user wrote it.
        place: String,
        /// What is wrong with it, or what to write instead.
        reason: String,
    },
    /// The store refuses to hand it out. Permissions may be repaired; S3 also says so of an object
    /// that is not there to those who may not list the bucket.
    #[error("{place}: access denied: {reason}")]
    Denied {
        /// `bucket/key`.
        place: String,
        /// What the store said.
        reason: String,
    },
    /// The caller's time was up before the store had answered.
    #[error("{0}: no time was left to read it; it will be tried again")]
    Deadline(String),
    /// The network, the disk, permissions: trying again may help.
    #[error("{place}: {source}")]
    Other {
        /// `bucket/key`.
        place: String,
        /// What happened.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// S3's codes of a 403 that is about the object, by its error reference.
const DENIED: [&str; 3] = ["AccessDenied", "AllAccessDisabled", "InvalidObjectState"];

impl StoreError {
    pub(crate) fn name(place: impl fmt::Display, reason: impl Into<String>) -> StoreError {
        StoreError::Name { place: place.to_string(), reason: reason.into() }
    }

    /// What happened at a place, which the error does not name.
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
            // The bucket itself: its name, region or endpoint is wrong, and that can be repaired.
            Error::NotFound { .. } if code == "NoSuchBucket" => StoreError::other(place, reason),
            Error::NotFound { .. } => StoreError::NotFound(place),
            Error::Precondition { .. } => StoreError::Changed(place),
            Error::InvalidPath { source } => StoreError::name(place, source.to_string()),
            // Any other refusal is of the request, not of the object: a clock, a key or a token is
            // wrong.
            Error::PermissionDenied { .. } if DENIED.contains(&code) => {
                StoreError::Denied { place, reason }
            }
            _ => StoreError::other(place, reason),
        }
    }
}

/// An error's text, with nothing of an XML answer but its code and message: S3 repeats the session
/// token in `ExpiredToken`, and the access key in `SignatureDoesNotMatch`.
fn said(text: &str) -> String {
    let Some((before, _)) = text.split_once('<') else { return text.to_owned() };
    let told = ["Code", "Message"].into_iter().filter_map(|name| element(text, name));
    format!("{}{}", before.trim_start(), told.collect::<Vec<_>>().join(": "))
}

/// What an element of an XML answer holds.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once('<')?.0.trim())
}
