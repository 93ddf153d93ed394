//! land(): notices → objects → rows → per day file → commit.

pub mod notice;
