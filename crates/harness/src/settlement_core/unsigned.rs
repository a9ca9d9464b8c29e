//! Accounts, unsigned commands and block proposals of the core's benchmark.

use cbdc_ledger::block_proposal::PROPOSAL_HEAD_BYTES;
use cbdc_ledger::command::Head;
use cbdc_ledger::encoding::{VERSION, Writer};
use cbdc_ledger::{AccountId, BankId, Command, Signature, Signed, Timestamp};

/// Banks; wallets are assigned to them in turn.
pub const BANKS: u16 = 4;
/// The time of genesis and of the set-up.
pub const START: Timestamp = Timestamp(1_795_392_000_000);
/// The valid-until of every record.
pub const VALID_UNTIL: Timestamp = Timestamp(START.0 + VALIDITY_MS_MAX - 1);
/// A placeholder: `apply` does not check signatures.
pub const UNSIGNED: Signature = Signature([0; 64]);

/// The longest time from now to a record's valid-until, ms.
pub const VALIDITY_MS_MAX: u64 = 86_400_000;

/// The account of a wallet by its number, from 0.
pub fn account(wallet: u32) -> AccountId {
    AccountId::new(BankId((wallet % u32::from(BANKS)) as u16 + 1), wallet / u32::from(BANKS) + 1)
}

/// The head of a record of the set-up or the load.
pub fn head(sequence: u64) -> Head {
    Head { flags: 0, key_version: 0, sequence, valid_until: VALID_UNTIL }
}

/// A command with zeros for its signature.
pub fn unsigned<R>(record: R) -> Command
where
    Command: From<Signed<R>>,
{
    Signed { record, signature: UNSIGNED }.into()
}

/// A block proposal's bytes.
pub fn encode(time: Timestamp, commands: impl IntoIterator<Item = Command>) -> Vec<u8> {
    let (mut body, mut count) = (Writer::with_capacity(1 << 16), 0);
    for command in commands {
        command.encode(&mut body);
        count += 1;
    }
    let mut out = Writer::with_capacity(PROPOSAL_HEAD_BYTES + body.len());
    put_head(&mut out, count, time);
    out.raw(body.as_bytes());
    out.finish()
}

/// The head of a block proposal with `count` commands.
pub fn put_head(out: &mut Writer, count: u32, time: Timestamp) {
    out.u8(VERSION).reserved(3).u32(count).u64(time.0);
}
