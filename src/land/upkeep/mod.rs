//! Upkeep of a root: rounds of sealing, and the reading commands status, report, cat and verify.

mod calendar;
mod closing;
pub mod due;
pub mod fault;
pub mod find;
mod findings;
mod look;
mod page;
pub mod report;
pub mod show;
pub mod status;
pub mod sweep;
pub mod unsealed;
pub mod verify;
