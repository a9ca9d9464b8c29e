//! The gRPC services of the central bank: settlement for banks, policy for desk, committee and courts.

pub mod policy;
pub mod settlement;
