//! What is done to a root from time to time: rounds of sealing, status, verify,
//! and what of it is due.

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
