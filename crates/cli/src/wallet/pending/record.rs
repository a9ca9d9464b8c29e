//! The records in flight of a wallet, as its pending file holds them.
//!
//! # Layout
//! [`TAG`], then each record: its state (u8), how long its effect lasts in seconds (u64; of a hold), the length of the
//! command (u32), the command with its signature. Integers are little-endian. A file of earlier versions holds one
//! signed payment and nothing else; it is read as one that was sent.

use cbdc_client::{AccountId, Amount, Anchor, SubmissionStatus};
use cbdc_ledger::Command;
use cbdc_ledger::command::{FLAG_REVERSE_WATERFALL, PaymentKind, Signer};

use crate::output::quoted;
use crate::wallet::format::{grouped, plain, reference_text};

/// The first bytes of the layout. No command begins so.
const TAG: &[u8; 8] = b"CBDCrec2";

/// What is known of a record that was sent, or is about to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It may have been ordered or not.
    Sent,
    /// Its copies were refused without finality: it may settle until its valid-until, if another is sent.
    Refused,
    /// The bank has it in its outbox.
    Accepted,
    /// Nothing more happens to it; its answer was not shown yet.
    Over,
    /// Another record has used its number, so that it never settles; its command was not told yet.
    Displaced,
}

impl State {
    const ALL: [State; 5] = [State::Sent, State::Refused, State::Accepted, State::Over, State::Displaced];

    /// The state of a record by the status of its submission.
    pub fn after(status: &SubmissionStatus) -> State {
        match status {
            status if status.is_final() => State::Over,
            SubmissionStatus::Refused(_) => State::Refused,
            SubmissionStatus::Accepted => State::Accepted,
            _ => State::Sent,
        }
    }
}

/// A record in flight.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InFlight {
    pub command: Command,
    pub state: State,
    /// How long a hold was asked to last; 0 for other records.
    pub lasts_s: u64,
}

impl InFlight {
    pub fn sequence(&self) -> u64 {
        self.command.head().sequence
    }

    /// Whether it debits this account.
    pub fn is_of(&self, account: AccountId) -> bool {
        self.command.signer() == Signer::Holder(account)
    }

    /// The record in words, such as `a payment of 5.00 XTS to XC66 …`.
    pub fn describe(&self, anchor: &Anchor) -> String {
        let (what, amount, to) = match &self.command {
            Command::Payment(payment) if payment.record.kind == PaymentKind::Defund => {
                return format!("a defunding of {}", anchor.show(payment.record.amount));
            }
            Command::Payment(payment) => ("a payment", payment.record.amount, payment.record.to),
            Command::Hold(hold) => ("a hold", hold.record.maximum, hold.record.to),
            command => return format!("a record of kind {}", command.kind().name()),
        };
        format!("{what} of {} to {}", anchor.show(amount), grouped(to))
    }

    /// The command by which the wallet `name` asks what became of the record.
    pub fn command_line(&self, anchor: &Anchor, name: &str, suffix: &str) -> String {
        let plain = |amount| plain(anchor, amount);
        let mut words = match &self.command {
            Command::Payment(payment) if payment.record.kind == PaymentKind::Defund => {
                return format!("cbdc wallet defund {name} {}{suffix}", plain(payment.record.amount));
            }
            Command::Payment(payment) => {
                format!("cbdc wallet pay {name} {} {}", payment.record.to, plain(payment.record.amount))
            }
            Command::Hold(hold) => format!(
                "cbdc wallet hold {name} {} {} --expires-in-s {}",
                hold.record.to,
                plain(hold.record.maximum),
                self.lasts_s
            ),
            _ => return format!("cbdc wallet history {name}{suffix}"),
        };
        let (reference, max_fee, flags) = match &self.command {
            Command::Hold(hold) => (hold.record.reference, hold.record.max_fee, 0),
            Command::Payment(payment) => (payment.record.reference, payment.record.max_fee, payment.record.head.flags),
            _ => ([0; 16], Amount::ZERO, 0),
        };
        if reference != [0; 16] {
            words.push_str(&format!(" --reference {}", quoted(&reference_text(&reference))));
        }
        if !max_fee.is_zero() {
            words.push_str(&format!(" --max-fee {}", plain(max_fee)));
        }
        if flags & FLAG_REVERSE_WATERFALL != 0 {
            words.push_str(" --top-up");
        }
        words + suffix
    }
}

/// The records as the file holds them.
pub fn to_bytes(records: &[InFlight]) -> Vec<u8> {
    let mut bytes = TAG.to_vec();
    for record in records {
        let command = record.command.to_bytes();
        bytes.push(record.state as u8);
        bytes.extend_from_slice(&record.lasts_s.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(command.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(&command);
    }
    bytes
}

/// Reads what [`to_bytes`] or an earlier version wrote.
pub fn from_bytes(bytes: &[u8]) -> Option<Vec<InFlight>> {
    let Some(mut rest) = bytes.strip_prefix(TAG) else {
        let command = Command::from_bytes(bytes).ok().filter(|command| matches!(command, Command::Payment(_)))?;
        return Some(vec![InFlight { command, state: State::Sent, lasts_s: 0 }]);
    };
    let mut records = Vec::new();
    while let Some((state, after)) = rest.split_first() {
        let state = State::ALL.into_iter().find(|known| *known as u8 == *state)?;
        let (lasts_s, after) = after.split_first_chunk()?;
        let (length, after) = after.split_first_chunk()?;
        let (command, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let command = Command::from_bytes(command).ok()?;
        records.push(InFlight { command, state, lasts_s: u64::from_le_bytes(*lasts_s) });
        rest = after;
    }
    Some(records)
}

#[cfg(test)]
mod tests {
    use cbdc_client::{BankId, Timestamp};
    use cbdc_ledger::command::{Head, Payment, PlaceHold, Record};
    use cbdc_ledger::{NetworkId, SigningKey};

    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_seed([7; 32])
    }

    fn head(flags: u16) -> Head {
        Head { flags, key_version: 0, sequence: 3, valid_until: Timestamp(9) }
    }

    fn payment(flags: u16, reference: [u8; 16]) -> Command {
        let (from, to) = (AccountId::new(BankId(1), 1), AccountId::new(BankId(2), 1));
        let (amount, max_fee) = (Amount::from_minor(123_450), Amount::from_minor(5));
        let payment = Payment { kind: PaymentKind::Transfer, head: head(flags), from, to, amount, max_fee, reference };
        payment.sign(NetworkId([1; 32]), &key()).into()
    }

    fn hold() -> Command {
        let (from, to) = (AccountId::new(BankId(1), 1), AccountId::new(BankId(2), 1));
        let (maximum, max_fee) = (Amount::from_minor(500), Amount::ZERO);
        let (expires_at, reference) = (Timestamp(10), [0; 16]);
        let hold = PlaceHold { head: head(0), from, to, maximum, max_fee, expires_at, reference };
        hold.sign(NetworkId([1; 32]), &key()).into()
    }

    #[test]
    fn records_survive_the_file_and_a_part_of_them_is_none() {
        let records: Vec<InFlight> = State::ALL
            .into_iter()
            .zip([payment(0, [0; 16]), hold(), payment(1, [1; 16]), hold(), payment(0, [2; 16])])
            .map(|(state, command)| InFlight { command, state, lasts_s: 60 })
            .collect();
        let bytes = to_bytes(&records);
        assert_eq!(from_bytes(&bytes), Some(records.clone()));
        assert_eq!(from_bytes(&to_bytes(&[])), Some(Vec::new()));
        let ends: Vec<usize> = (0..records.len()).map(|count| to_bytes(&records[..count]).len()).collect();
        for length in (0..bytes.len()).filter(|length| !ends.contains(length)) {
            assert_eq!(from_bytes(&bytes[..length]), None, "{length}");
        }
    }

    #[test]
    fn the_single_payment_of_an_earlier_version_is_read_as_sent() {
        let command = payment(0, [0; 16]);
        let expected = InFlight { command: command.clone(), state: State::Sent, lasts_s: 0 };
        assert_eq!(from_bytes(&command.to_bytes()), Some(vec![expected]));
        assert_eq!(from_bytes(&hold().to_bytes()), None);
    }

    #[test]
    fn a_record_is_told_in_the_words_that_ask_for_it() {
        let digits = include_str!("../../../../client/tests/vectors/genesis.hex");
        let bytes = cbdc_ledger::encoding::hex_decode(&digits.split_whitespace().collect::<String>()).unwrap();
        let anchor = Anchor::new(cbdc_ledger::Genesis::from_bytes(&bytes).unwrap());
        let to = AccountId::new(BankId(2), 1);
        let mut reference = [0; 16];
        reference[..7].copy_from_slice(b"a b's c");
        let words = |command, lasts_s| {
            InFlight { command, state: State::Sent, lasts_s }.command_line(&anchor, "alice", " --network net")
        };
        assert_eq!(
            words(payment(FLAG_REVERSE_WATERFALL, reference), 0),
            format!(
                r"cbdc wallet pay alice {to} 1234.50 --reference 'a b'\''s c' --max-fee 0.05 --top-up --network net"
            )
        );
        assert_eq!(words(hold(), 60), format!("cbdc wallet hold alice {to} 5.00 --expires-in-s 60 --network net"));
    }
}
