//! The public contract: generated gRPC code, every conversion to and from it, and its transport.
//!
//! * [`v1`]: what `proto/cbdc/v1` generates.
//! * [`internal`]: what `proto/cbdc/internal/v1` generates, between nodes of the central bank only.
//! * [`convert`]: every conversion between messages and the ledger's types, each failing with a sentence.
//! * [`answers`]: the answers to a batch.
//! * [`bounded_file`]: reading a file up to a size.
//! * [`durable_file`]: replacing a file whole and durably.
//! * [`membership`]: fetching proofs of membership changes.
//! * [`packed`]: outcomes packed 40 bytes each, as streams carry them.
//! * [`status`]: refusals and failures as gRPC statuses with `google.rpc.ErrorInfo`, and back.
//! * [`transport`]: TLS 1.3 with pinned node keys, for servers and clients.
//! * [`wall_clock`]: the machine's clock.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod answers;
pub mod bounded_file;
pub mod convert;
pub mod durable_file;
pub mod membership;
pub mod packed;
pub mod status;
pub mod transport;
pub mod wall_clock;

/// Generated from `proto/cbdc/v1`, whose comments say what each message and field means.
#[allow(clippy::doc_markdown, missing_docs)]
pub mod v1 {
    tonic::include_proto!("cbdc.v1");

    /// The descriptor set, for gRPC reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/cbdc_descriptor.bin"));
}

/// Generated from `proto/cbdc/internal/v1`: the members that order, among themselves. No contract with anybody else.
#[allow(clippy::doc_markdown, missing_docs)]
pub mod internal {
    tonic::include_proto!("cbdc.internal.v1");
}
