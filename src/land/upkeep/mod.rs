//! What is done to a root from time to time: rounds of sealing, status, verify.

mod calendar;
mod closing;
mod findings;
mod look;
pub mod show;
pub mod status;
pub mod sweep;
pub mod unsealed;
pub mod verify;
