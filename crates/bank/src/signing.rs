//! Signing for the bank: commands with its own key, its own sequence numbers and a time that the chain will accept.

use std::sync::Arc;
use std::time::Duration;

use cbdc_ledger::command::{BankConsent, ConsentStatement, Head, Kind, Record};
use cbdc_ledger::member::Role;
use cbdc_ledger::{AccountId, BankId, MemberId, NetworkId, Outcome, Reason, Signed, SigningKey};
use cbdc_node::LedgerHandle;
use cbdc_node::views::probable_time;

use crate::own_sequence::OwnSequence;

/// The validity of a command outside the outbox: short, so that a number whose status is unknown is soon free again.
pub const SHORT_VALIDITY: Duration = Duration::from_secs(60);
/// The validity of a fund command: long enough to outlast an outage, since its outbox entry is sent again until then.
pub const FUND_VALIDITY: Duration = Duration::from_secs(3_600);
/// The validity of a request to issue or redeem: an operator may have to look at it.
pub const REQUEST_VALIDITY: Duration = Duration::from_secs(3_600);

/// The validity of a consent: the holder signs as soon as they have it.
const CONSENT_VALIDITY: Duration = Duration::from_secs(600);

/// Signs the bank's own commands.
pub struct BankSigner {
    pub bank: BankId,
    network: NetworkId,
    key: Arc<SigningKey>,
    pub ledger: LedgerHandle,
    pub sequence: Arc<OwnSequence>,
}

impl BankSigner {
    pub fn new(bank: BankId, key: Arc<SigningKey>, ledger: LedgerHandle) -> BankSigner {
        let network = ledger.read(|ledger| ledger.network());
        BankSigner { bank, network, key, ledger, sequence: Arc::default() }
    }

    /// Signs a consent to a holder's record of a kind concerning a wallet.
    ///
    /// # Errors
    /// This bank is not an active member.
    pub fn consent(&self, kind: Kind, account: AccountId) -> Result<BankConsent, Outcome> {
        let (key_version, now) = self.ledger.read(|ledger| {
            let seat = ledger.members().active(Role::Bank, MemberId(self.bank.0));
            let seat = seat.ok_or(Outcome::refused(Reason::UnknownMember, 0, 0))?;
            Ok((seat.key_version, probable_time(ledger.tip().time)))
        })?;
        let valid_until = now.plus_ms(CONSENT_VALIDITY.as_millis() as u64);
        let statement = ConsentStatement { kind, bank: self.bank, account, valid_until };
        Ok(statement.sign(self.network, key_version, &self.key))
    }

    /// Signs the record that `make` builds over a head with the lowest free sequence number.
    ///
    /// The number is in flight from now on; the caller returns it to [`BankSigner::sequence`].
    ///
    /// # Errors
    /// This bank is not an active member, or all 65,536 numbers of the window are in flight.
    pub fn sign<R: Record>(&self, validity: Duration, make: impl FnOnce(Head) -> R) -> Result<Signed<R>, Outcome> {
        let head = self.ledger.read(|ledger| {
            let seat = ledger.members().active(Role::Bank, MemberId(self.bank.0));
            let seat = seat.ok_or(Outcome::refused(Reason::UnknownMember, 0, 0))?;
            let (tip, validity_ms_max) = (ledger.tip().time, ledger.genesis().validity_ms_max);
            let sequence = self.sequence.take(&seat.window, tip).ok_or(Outcome::refused(Reason::Overloaded, 0, 0))?;
            let validity_ms = (validity.as_millis() as u64).min(validity_ms_max / 2);
            let valid_until = probable_time(tip).plus_ms(validity_ms);
            Ok(Head { flags: 0, key_version: seat.key_version, sequence, valid_until })
        })?;
        Ok(make(head).sign(self.network, &self.key))
    }
}
