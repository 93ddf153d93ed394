//! What is done to a root from time to time: rounds of sealing, status, verify.

pub mod status;
pub mod sweep;
pub mod verify;
