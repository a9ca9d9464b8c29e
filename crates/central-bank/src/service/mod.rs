//! The gRPC services of the central bank: settlement for banks; policy for operators, committee, registrar and courts.

pub mod policy;
pub mod settlement;
