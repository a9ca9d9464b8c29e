//! Payments in packed batches, read in place: the fields that a node needs before it decodes anything.
//!
//! A packed batch is signed payments back to back, [`SIGNED_PAYMENT_BYTES`] each, in the layout of
//! [`payment`](crate::command::payment).

use super::kind::Kind;
use super::payment::SIGNED_PAYMENT_BYTES;
use super::record::{HEAD_BYTES, Head};
use crate::codec::encoding::VERSION;
use crate::types::identity::AccountId;

/// One signed payment in its fixed layout. It may be any bytes of the right length: the readers report what cannot be
/// decoded.
#[derive(Clone, Copy, Debug)]
pub struct PackedPayment<'a>(&'a [u8; SIGNED_PAYMENT_BYTES]);

impl<'a> PackedPayment<'a> {
    /// The record in `bytes`; `None` if their length is not [`SIGNED_PAYMENT_BYTES`].
    pub fn new(bytes: &'a [u8]) -> Option<PackedPayment<'a>> {
        bytes.try_into().ok().map(PackedPayment)
    }

    /// The records of a batch, in order; bytes left over at its end are ignored.
    pub fn each(batch: &'a [u8]) -> impl ExactSizeIterator<Item = PackedPayment<'a>> {
        batch.as_chunks().0.iter().map(PackedPayment)
    }

    /// The record's bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The record's kind, which need not be a payment's. `None` for another version or an unknown kind.
    #[inline]
    pub fn kind(&self) -> Option<Kind> {
        Kind::from_u8(self.0[1]).filter(|_| self.0[0] == VERSION)
    }

    /// Whether a record of `kind` may have this record's flags.
    #[inline]
    pub fn has_known_flags(&self, kind: Kind) -> bool {
        u16::from_le_bytes([self.0[2], self.0[3]]) & !Head::flags_of(kind) == 0
    }

    /// The sequence number.
    #[inline]
    pub fn sequence(&self) -> u64 {
        let mut sequence = [0; 8];
        sequence.copy_from_slice(&self.0[HEAD_BYTES - 16..HEAD_BYTES - 8]);
        u64::from_le_bytes(sequence)
    }

    /// The payer's account; `None` if the bytes are not an account id.
    #[inline]
    pub fn payer(&self) -> Option<AccountId> {
        self.account_at(HEAD_BYTES)
    }

    /// The payee's account; `None` if the bytes are not an account id.
    #[inline]
    pub fn payee(&self) -> Option<AccountId> {
        self.account_at(HEAD_BYTES + 8)
    }

    #[inline]
    fn account_at(&self, at: usize) -> Option<AccountId> {
        let mut id = [0; 8];
        id.copy_from_slice(&self.0[at..at + 8]);
        AccountId::from_u64(u64::from_le_bytes(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::payment::{Payment, PaymentKind};
    use crate::command::record::{FLAG_REVERSE_WATERFALL, Signed};
    use crate::types::amount::Amount;
    use crate::types::identity::BankId;
    use cbdc_signatures::Signature;

    fn transfer() -> Vec<u8> {
        let (from, to) = (AccountId::new(BankId(2), 7), AccountId::new(BankId(u16::MAX), u32::MAX));
        let head = Head { flags: FLAG_REVERSE_WATERFALL, sequence: 1, ..Head::default() };
        let (amount, max_fee) = (Amount::from_minor(1), Amount::ZERO);
        let record = Payment { kind: PaymentKind::Transfer, head, from, to, amount, max_fee, reference: [9; 16] };
        Signed { record, signature: Signature([7; 64]) }.to_bytes()
    }

    #[test]
    fn a_packed_payment_is_read_as_it_is_decoded() {
        let bytes = transfer();
        let record = PackedPayment::new(&bytes).unwrap();
        assert_eq!((record.kind(), record.bytes()), (Some(Kind::Transfer), &bytes[..]));
        assert_eq!(record.payer(), Some(AccountId::new(BankId(2), 7)));
        assert_eq!(record.payee(), Some(AccountId::new(BankId(u16::MAX), u32::MAX)));
        assert!(record.has_known_flags(Kind::Transfer) && !record.has_known_flags(Kind::Defund));
    }

    #[test]
    fn what_could_not_be_decoded_is_told() {
        let with = |at: usize, byte: u8| {
            let mut bytes = transfer();
            bytes[at] = byte;
            bytes
        };
        assert!(PackedPayment::new(&with(0, 2)).unwrap().kind().is_none());
        assert!(PackedPayment::new(&with(1, 255)).unwrap().kind().is_none());
        assert!(!PackedPayment::new(&with(3, 1)).unwrap().has_known_flags(Kind::Transfer));
        assert!(PackedPayment::new(&with(31, 1)).unwrap().payer().is_none());
        assert!(PackedPayment::new(&with(39, 1)).unwrap().payee().is_none());
        assert!(PackedPayment::new(&transfer()[1..]).is_none());
        let batch = [transfer(), transfer(), vec![1]].concat();
        assert_eq!(PackedPayment::each(&batch).len(), 2);
    }
}
