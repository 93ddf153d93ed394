//! One day file under its locks: rows become lines, a segment is sealed and published.

pub mod batch;
pub mod commit;
pub(crate) mod contents;
pub mod dedup;
pub(crate) mod hold;
pub mod merge;
pub(crate) mod publish;
pub mod seal;
pub(crate) mod text;
pub(crate) mod writer;
