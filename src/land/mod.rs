//! land(): notices → objects → rows → per day file → commit.
