//! The node's metrics. Each is described before its first use.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram};

pub const COMMANDS: &str = "cbdc_commands_total";
pub const VERIFY_CPU: &str = "cbdc_verify_cpu_ns_total";
pub const VERIFIED: &str = "cbdc_verified_commands_total";
pub const VERIFY_BATCH: &str = "cbdc_verify_batch_commands";
pub const BLOCK_PROPOSAL: &str = "cbdc_block_proposal_commands";
pub const QUEUE: &str = "cbdc_queue_commands";
pub const STAGE: &str = "cbdc_stage_seconds";
pub const HEIGHT: &str = "cbdc_height";
pub const SUPPLY: &str = "cbdc_supply_minor";
pub const SYNCS: &str = "cbdc_wal_syncs_total";
pub const BLOCK_PROPOSALS: &str = "cbdc_block_proposals_total";
pub const CHECKPOINT_SECONDS: &str = "cbdc_checkpoint_seconds";
pub const SECURITY: &str = "cbdc_security_events_total";
/// Commands by member and result: `settled`, `refused`, `not_ordered`, `bad_signature`.
pub const MEMBER: &str = "cbdc_member_commands_total";
pub const SLOWED: &str = "cbdc_member_slowed";

/// 1 on the node that leads.
pub const IS_LEADER: &str = "cbdc_central_bank_is_leader";
pub const TERM: &str = "cbdc_central_bank_term";
pub const LEADERSHIPS: &str = "cbdc_central_bank_leaderships_total";
pub const WITHOUT_LEADER: &str = "cbdc_central_bank_without_leader_seconds";
/// On the leader, by node.
pub const LAG: &str = "cbdc_central_bank_lag_entries";

pub fn describe() {
    describe_counter!(COMMANDS, Unit::Count, "Commands answered, by reason");
    describe_counter!(VERIFY_CPU, Unit::Nanoseconds, "CPU time spent verifying signatures");
    describe_counter!(VERIFIED, Unit::Count, "Commands whose signatures were verified");
    describe_histogram!(VERIFY_BATCH, Unit::Count, "Commands verified together");
    describe_histogram!(BLOCK_PROPOSAL, Unit::Count, "Commands in a block proposal");
    describe_gauge!(QUEUE, Unit::Count, "Commands in flight in the node");
    describe_histogram!(STAGE, Unit::Seconds, "Time a batch spends in a stage: verify, sequence, order, settle");
    describe_gauge!(HEIGHT, Unit::Count, "Height of the last block");
    describe_gauge!(SUPPLY, Unit::Count, "CBDC in circulation, minor units");
    describe_counter!(SYNCS, Unit::Count, "Syncs of the write-ahead log");
    describe_counter!(BLOCK_PROPOSALS, Unit::Count, "Block proposals settled");
    describe_histogram!(CHECKPOINT_SECONDS, Unit::Seconds, "Time to write a checkpoint in the background");
    describe_counter!(SECURITY, Unit::Count, "Security events by kind");
    describe_counter!(MEMBER, Unit::Count, "Commands answered, by the member that submitted them and by result");
    describe_gauge!(SLOWED, "Whether too many of a member's commands were refused within the last seconds");
    describe_gauge!(IS_LEADER, "Whether this node leads: commands go to it");
    describe_gauge!(TERM, Unit::Count, "The term of leadership");
    describe_counter!(LEADERSHIPS, Unit::Count, "Terms that this node has led in");
    describe_gauge!(WITHOUT_LEADER, Unit::Seconds, "Time without a leader at the last change, as this node saw it");
    describe_gauge!(LAG, Unit::Count, "Entries of the log that another node lacks, as the leader knows it");
    counter!(VERIFY_CPU).absolute(0);
}
