//! One integration binary.

mod made;
mod object;
mod store;
