//! The gRPC services of the central bank: settlement for banks; policy for operators, committee, registrar and courts;
//! leadership for everybody.

pub mod leadership;
pub mod policy;
pub mod settlement;
