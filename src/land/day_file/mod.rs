//! One day file under its locks: rows become lines, a segment is sealed and published.

pub mod batch;
pub mod commit;
pub mod contents;
pub mod dedup;
pub mod hold;
pub mod merge;
pub mod publish;
pub mod seal;
pub mod writer;
