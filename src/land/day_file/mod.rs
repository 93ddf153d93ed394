//! One day file under its locks: commit of rows, seal and publication of segments.

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
