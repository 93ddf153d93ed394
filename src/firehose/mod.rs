//! transform(): one Firehose event in, one Firehose answer out.
