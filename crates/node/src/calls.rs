//! The calls of a node: the sizes of their messages, and their charges on the [budget](crate::budget).
//!
//! | call | message, at most | charge |
//! |---|---|---|
//! | a customer's stream of payments | a batch of 8,192 payments | 16 KiB |
//! | a bank's stream of commands | a batch of commands, 8 MiB | 16 KiB |
//! | the ordered log and checkpoints, between the central bank's nodes | 64 MiB | 16 KiB |
//! | a member's single command | 1 MiB: a proposal with many actions | 256 KiB |
//! | pages, receipts, aggregates | 64 KiB | 256 KiB: a page and what it is made from |
//! | blocks and checkpoints | 64 KiB | 2 MiB: a full block, or a chunk |
//! | everything else | 64 KiB | 32 KiB |
//!
//! A charge is taken when the call begins and given back when its answer has been sent. A stream rests between two
//! messages: its [unread](crate::unread) data is charged only while it does not rest.

use cbdc_ledger::command::payment::SIGNED_PAYMENT_BYTES;
use cbdc_proto::packed::BATCH_COMMANDS_MAX;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The bytes of the commands in one batch.
pub const BATCH_BYTES_MAX: usize = 8 * MIB;
/// A message between the nodes of the central bank that order together: several block proposals.
const MEMBERS_MESSAGE_BYTES_MAX: usize = 64 * MIB;
/// The most bytes of a batch's message apart from its commands.
const BATCH_HEAD_BYTES: usize = 64;
/// The memory of a stream that rests: its state and the buffers of its codec.
const RESTING_STREAM_BYTES: usize = 16 * KIB;

/// The limits and the charge of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The largest message that its caller may send, bytes.
    pub message_bytes_max: usize,
    /// The bytes of the budget that it takes, apart from its messages and answers.
    pub charge_bytes: usize,
    /// Whether its caller sends a stream of messages, which may pause between two of them.
    pub takes_stream: bool,
}

impl Call {
    const PLAIN: Call = Call::unary(64 * KIB, 32 * KIB);

    const fn unary(message_bytes_max: usize, charge_bytes: usize) -> Call {
        Call { message_bytes_max, charge_bytes, takes_stream: false }
    }

    const fn stream(message_bytes_max: usize) -> Call {
        Call { message_bytes_max, charge_bytes: RESTING_STREAM_BYTES, takes_stream: true }
    }

    /// The call of a request, by its path.
    pub fn of(path: &str) -> Call {
        match path {
            "/cbdc.v1.Bank/SubmitTransfers" => {
                Call::stream(BATCH_COMMANDS_MAX * SIGNED_PAYMENT_BYTES + BATCH_HEAD_BYTES)
            }
            "/cbdc.v1.Settlement/Submit" => Call::stream(BATCH_BYTES_MAX + BATCH_HEAD_BYTES),
            "/cbdc.v1.Settlement/SubmitCommand" | "/cbdc.v1.Policy/Submit" => Call::unary(MIB, 256 * KIB),
            "/cbdc.v1.Bank/ListPayments"
            | "/cbdc.v1.Bank/ListHolds"
            | "/cbdc.v1.Bank/GetReceipt"
            | "/cbdc.v1.Chain/GetReceipt"
            | "/cbdc.v1.Chain/GetMembershipChanges"
            | "/cbdc.v1.Settlement/ListHolds"
            | "/cbdc.v1.Policy/GetPolicy"
            | "/cbdc.v1.Policy/ListPolicyVersions"
            | "/cbdc.v1.Policy/ListProgrammes"
            | "/cbdc.v1.Policy/ListProposals"
            | "/cbdc.v1.Policy/ListMembers"
            | "/cbdc.v1.Policy/GetBalanceSheet"
            | "/cbdc.v1.Policy/GetAggregates" => Call::unary(64 * KIB, 256 * KIB),
            "/cbdc.v1.Chain/GetBlock"
            | "/cbdc.v1.Chain/Follow"
            | "/cbdc.v1.Chain/FollowFilteredBlocks"
            | "/cbdc.v1.Chain/GetCheckpoint" => Call::unary(64 * KIB, 2 * MIB),
            "/cbdc.internal.v1.Ordering/Append" | "/cbdc.internal.v1.Ordering/InstallSnapshot" => {
                Call::stream(MEMBERS_MESSAGE_BYTES_MAX)
            }
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo" => Call::stream(64 * KIB),
            _ => Call::PLAIN,
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    /// The paths of all methods, and whether their caller sends a stream.
    fn methods() -> Vec<(String, bool)> {
        let files = prost_types::FileDescriptorSet::decode(cbdc_proto::v1::DESCRIPTORS).unwrap().file;
        let services = files.into_iter().flat_map(|file| {
            let package = file.package().to_owned();
            file.service.into_iter().map(move |service| (package.clone(), service))
        });
        let methods = services.flat_map(|(package, service)| {
            let name = service.name().to_owned();
            service
                .method
                .into_iter()
                .map(move |method| (format!("/{package}.{name}/{}", method.name()), method.client_streaming()))
        });
        methods.filter(|(path, _)| path.starts_with("/cbdc.v1.")).collect()
    }

    #[test]
    fn every_call_that_the_table_names_exists_and_every_stream_is_in_it() {
        let methods = methods();
        assert!(methods.len() > 40, "{methods:?}");
        for (path, takes_stream) in &methods {
            assert_eq!(Call::of(path).takes_stream, *takes_stream, "{path}");
        }
        let named = include_str!("calls.rs").split('"').filter(|text| text.starts_with("/cbdc.v1.") && text.len() > 9);
        for path in named.filter(|path| !path.ends_with('.')) {
            assert!(methods.iter().any(|(method, _)| method == path), "{path} is no call");
        }
    }

    #[test]
    fn a_wallets_call_is_small_and_a_full_batch_fits() {
        assert_eq!(Call::of("/cbdc.v1.Bank/SubmitTransfer").message_bytes_max, 64 * KIB);
        let batch = BATCH_COMMANDS_MAX * SIGNED_PAYMENT_BYTES;
        assert!(Call::of("/cbdc.v1.Bank/SubmitTransfers").message_bytes_max > batch);
    }
}
