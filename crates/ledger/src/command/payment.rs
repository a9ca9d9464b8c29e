//! Payments: the one record of retail traffic, 72 bytes and a signature.
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 24 | head: kind 1 transfer, 2 defund, 3 fund |
//! | 24 | 8 | payer account |
//! | 32 | 8 | payee account |
//! | 40 | 8 | amount, minor units |
//! | 48 | 8 | largest fee the payer accepts, minor units |
//! | 56 | 16 | reference, free for the payer |
//!
//! Its compact form ([`crate::codec::compact`]) is ten words and the signature: flags × 256 + kind, key version,
//! sequence number, valid until, payer and payee (serial × 2^16 + bank), amount, largest fee, and the reference as two
//! words.
//!
//! A *transfer* and a *defund* are signed by the payer's holder; a *fund* by the bank whose treasury pays.

use cbdc_signatures::Signature;

use super::kind::Kind;
use super::record::{HEAD_BYTES, Head, Record, SIGNATURE_BYTES, Signed, Signer};
use crate::codec::encoding::{DecodeError, Fixed, Reader, Writer};
use crate::state::member::Role;
use crate::types::amount::Amount;
use crate::types::identity::{AccountId, BankId, MemberId};
use crate::types::time::Timestamp;

/// Bytes of a payment's own fields.
const FIELD_BYTES: usize = 48;
/// Bytes of a payment without its signature.
pub const PAYMENT_BYTES: usize = HEAD_BYTES + FIELD_BYTES;
/// Bytes of a payment with its signature: the unit of packed batches.
pub const SIGNED_PAYMENT_BYTES: usize = PAYMENT_BYTES + SIGNATURE_BYTES;

const _: () = assert!(PAYMENT_BYTES == 72 && SIGNED_PAYMENT_BYTES == 136);

/// The kind of a payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PaymentKind {
    /// From a holder's wallet to another wallet.
    Transfer,
    /// From a holder's wallet to the treasury of its bank, which credits the holder's deposit.
    Defund,
    /// From a bank's treasury to the wallet of one of its customers, whose deposit the bank debited.
    Fund,
}

/// A payment: 72 bytes, without its signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payment {
    /// Transfer, defund or fund.
    pub kind: PaymentKind,
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The payer's account.
    pub from: AccountId,
    /// The payee's account.
    pub to: AccountId,
    /// The amount paid.
    pub amount: Amount,
    /// The largest fee that the payer accepts.
    pub max_fee: Amount,
    /// A reference, free for the payer.
    pub reference: [u8; 16],
}

impl Payment {
    /// The signer: the payer's holder, or the bank whose treasury pays.
    pub fn signer(&self) -> Signer {
        match self.kind {
            PaymentKind::Transfer | PaymentKind::Defund => Signer::Holder(self.from),
            PaymentKind::Fund => Signer::Member(Role::Bank, MemberId(self.from.bank.0)),
        }
    }
}

impl PaymentKind {
    fn of(kind: Kind, input: &Reader<'_>) -> Result<PaymentKind, DecodeError> {
        match kind {
            Kind::Transfer => Ok(PaymentKind::Transfer),
            Kind::Defund => Ok(PaymentKind::Defund),
            Kind::Fund => Ok(PaymentKind::Fund),
            other => Err(input.wrong("the kind of a payment", other as u64)),
        }
    }
}

impl Record for Payment {
    fn kind(&self) -> Kind {
        match self.kind {
            PaymentKind::Transfer => Kind::Transfer,
            PaymentKind::Defund => Kind::Defund,
            PaymentKind::Fund => Kind::Fund,
        }
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn encode_fields(&self, out: &mut Writer) {
        let mut fields = Fixed::<FIELD_BYTES>::new();
        fields.u64(self.from.to_u64()).u64(self.to.to_u64());
        fields.u64(self.amount.minor()).u64(self.max_fee.minor()).raw(&self.reference);
        out.raw(fields.as_bytes());
    }

    #[inline]
    fn decode_fields(kind: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut fields = input.fixed::<FIELD_BYTES>()?;
        let payment = Payment {
            kind: PaymentKind::of(kind, input)?,
            head,
            from: AccountId::known(fields.u64(), input)?,
            to: AccountId::known(fields.u64(), input)?,
            amount: Amount::from_minor(fields.u64()),
            max_fee: Amount::from_minor(fields.u64()),
            reference: fields.array(),
        };
        fields.finish();
        Ok(payment)
    }
}

impl Signed<Payment> {
    pub(super) fn encode_compact(&self, out: &mut Writer) {
        let Payment { head, from, to, amount, max_fee, reference, .. } = &self.record;
        let [first, second] = reference_words(reference);
        out.words(&[
            u64::from(head.flags) << 8 | self.record.kind() as u64,
            u64::from(head.key_version),
            head.sequence,
            head.valid_until.0,
            account_word(*from),
            account_word(*to),
            amount.minor(),
            max_fee.minor(),
            first,
            second,
        ]);
        out.raw(&self.signature.0);
    }

    pub(super) fn decode_compact(input: &mut Reader<'_>) -> Result<Signed<Payment>, DecodeError> {
        let [kind, key_version, sequence, valid_until, from, to, amount, max_fee, first, second] = input.words()?;
        let (flags, kind) = (kind >> 8, Kind::known(kind as u8, input)?);
        let flags = u16::try_from(flags).map_err(|_| input.wrong("flags of 16 bits", flags))?;
        let account = |word: u64| account_of(word).ok_or_else(|| input.wrong("an account of 48 bits", word));
        let record = Payment {
            kind: PaymentKind::of(kind, input)?,
            head: Head {
                flags: Head::known_flags(kind, flags, input)?,
                key_version: input.half(key_version)?,
                sequence,
                valid_until: Timestamp(valid_until),
            },
            from: account(from)?,
            to: account(to)?,
            amount: Amount::from_minor(amount),
            max_fee: Amount::from_minor(max_fee),
            reference: reference_of([first, second]),
        };
        Ok(Signed { record, signature: Signature(input.array()?) })
    }
}

/// An account as a word, with the bank in the low bits: serials are small numbers, and leading zeros are not written.
fn account_word(account: AccountId) -> u64 {
    u64::from(account.serial) << 16 | u64::from(account.bank.0)
}

fn account_of(word: u64) -> Option<AccountId> {
    let serial = u32::try_from(word >> 16).ok()?;
    Some(AccountId::new(BankId(word as u16), serial))
}

fn reference_words(reference: &[u8; 16]) -> [u64; 2] {
    let reference = u128::from_le_bytes(*reference);
    [reference as u64, (reference >> 64) as u64]
}

fn reference_of([first, second]: [u64; 2]) -> [u8; 16] {
    (u128::from(second) << 64 | u128::from(first)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::compact::tests::word;
    use crate::command::{Command, FLAG_REVERSE_WATERFALL};
    use proptest::prelude::*;

    fn payments() -> impl Strategy<Value = Signed<Payment>> {
        let kind = prop_oneof![
            (Just(PaymentKind::Transfer), prop_oneof![Just(0), Just(FLAG_REVERSE_WATERFALL)]),
            (Just(PaymentKind::Defund), Just(0)),
            (Just(PaymentKind::Fund), Just(0)),
        ];
        let account = || (any::<u16>(), any::<u32>()).prop_map(|(bank, serial)| AccountId::new(BankId(bank), serial));
        let numbers = (any::<u32>(), word(), word(), word(), word());
        (kind, numbers, account(), account(), any::<[u8; 16]>(), any::<[u8; 32]>()).prop_map(
            |((kind, flags), (key_version, sequence, until, amount, max_fee), from, to, reference, signed)| {
                let mut signature = [7; SIGNATURE_BYTES];
                signature[..32].copy_from_slice(&signed);
                let record = Payment {
                    kind,
                    head: Head { flags, key_version, sequence, valid_until: Timestamp(until) },
                    from,
                    to,
                    amount: Amount::from_minor(amount),
                    max_fee: Amount::from_minor(max_fee),
                    reference,
                };
                Signed { record, signature: Signature(signature) }
            },
        )
    }

    proptest! {
        #[test]
        fn a_compact_payment_is_read_as_it_was_written(signed in payments()) {
            let command = Command::Payment(signed);
            let mut out = Writer::default();
            command.encode_compact(&mut out);
            let mut input = Reader::new("test", out.as_bytes());
            prop_assert_eq!(Command::decode_compact(&mut input), Ok(command));
            prop_assert!(input.is_empty());
        }

        #[test]
        fn what_can_be_read_has_one_compact_form(signed in payments(), at in 0usize..16, byte in any::<u8>()) {
            let mut out = Writer::default();
            Command::Payment(signed).encode_compact(&mut out);
            let mut bytes = out.finish();
            bytes[at] = byte;
            let mut input = Reader::new("test", &bytes);
            if let Ok(command) = Command::decode_compact(&mut input) {
                let read = bytes.len() - input.left();
                let mut again = Writer::default();
                command.encode_compact(&mut again);
                prop_assert_eq!(again.as_bytes(), &bytes[..read]);
            }
        }

        #[test]
        fn a_payment_in_its_fixed_layout_is_not_its_compact_form(signed in payments()) {
            prop_assert!(Command::decode_compact(&mut Reader::new("test", &signed.to_bytes())).is_err());
        }
    }
}
