//! The steps of a block: due work, then each command.

use super::changes::Changes;
use super::context::{Settled, Transition, refuse};
use crate::command::{Command, Signer};
use crate::ledger::{Admission, Ledger};
use crate::state::member::Role;
use crate::state::prefetch::PREFETCH_BATCH;
use crate::types::identity::BankId;
use crate::types::outcome::{Outcome, Reason};
use crate::types::time::Timestamp;

/// Takes a ledger through a block at `time`; returns the commands' outcomes and the block's other changes.
pub(crate) fn run(ledger: &mut Ledger, time: Timestamp, commands: &[Command]) -> (Vec<Outcome>, Changes) {
    let mut transition = Transition::new(ledger, time);
    transition.begin_block();
    let mut outcomes = Vec::with_capacity(commands.len());
    for batch in commands.chunks(PREFETCH_BATCH) {
        transition.at().prefetch(batch);
        for command in batch {
            transition.index = outcomes.len() as u32;
            outcomes.push(transition.settle(command));
        }
    }
    (outcomes, transition.changes)
}

impl Transition<'_> {
    /// Does the ledger's own work before the first command.
    fn begin_block(&mut self) {
        self.end_days();
        // Each has its own budget, so that none can starve another.
        let budget = self.work_left;
        // Before money returns from holds: what falls due at the end of a day is taken from it.
        self.sweep_interest();
        self.work_left = budget;
        self.expire_holds();
        self.work_left = budget;
        self.expire_earmarks();
        self.close_due_proposals();
        self.work_left = budget;
        self.pay_programmes();
        self.work_left = budget;
        self.hand_customers_over();
    }

    /// Settles a command, or refuses it and changes nothing but its sequence number.
    fn settle(&mut self, command: &Command) -> Outcome {
        let (Ok(outcome) | Err(outcome)) = self.try_settle(command);
        outcome
    }

    fn try_settle(&mut self, command: &Command) -> Settled {
        // Commands of two signers admit both before using either's sequence number.
        let has_two_signers = matches!(command, Command::Issuance(_) | Command::ReverseWaterfall(_));
        if !has_two_signers {
            self.take_in(command)?;
        }
        match command {
            Command::Payment(signed) => self.payment(&signed.record),
            other => self.settle_other(other),
        }
    }

    /// All commands but payments, apart from them so that what most blocks run stays small in the processor's cache of
    /// instructions.
    #[inline(never)]
    fn settle_other(&mut self, command: &Command) -> Settled {
        match command {
            Command::Payment(signed) => self.payment(&signed.record),
            Command::OpenWallet(signed) => self.open_wallet(&signed.record),
            Command::CloseWallet(signed) => self.close_wallet(&signed.record),
            Command::ReplaceKey(signed) => self.replace_key(&signed.record),
            Command::Issuance(signed) => self.issuance(&signed.record),
            Command::ReservesTransfer(signed) => self.reserves_transfer(&signed.record),
            Command::Freeze(signed) => self.freeze(&signed.record),
            Command::Propose(signed) => self.propose(&signed.record),
            Command::Vote(signed) => self.vote(&signed.record),
            Command::ReverseWaterfall(signed) => self.reverse_waterfall(&signed.record),
            Command::Hold(signed) => self.place_hold(&signed.record),
            Command::Release(signed) => self.release_hold(&signed.record),
            Command::LinkBank(signed) => self.link_bank(&signed.record),
            Command::DesignateWallet(signed) => self.designate_wallet(&signed.record),
            Command::MoveWallet(signed) => self.move_wallet(&signed.record),
            Command::Reclassify(signed) => self.reclassify(&signed.record),
            Command::Operation(signed) => self.operation(&signed.record),
            Command::DepositStatement(signed) => self.deposit_statement(&signed.record),
            Command::Seize(signed) => self.seize(&signed.record),
        }
    }

    /// Admits the command's signer and uses the sequence number.
    #[inline(always)]
    fn take_in(&mut self, command: &Command) -> Result<(), Outcome> {
        let (signer, head) = (command.signer(), command.head());
        let Admission { validity } = self.ledger.check_admission(signer, head, self.time)?;
        self.admit_certificate(command)?;
        self.consume(signer, head.sequence);
        validity?;
        match signer {
            Signer::Member(Role::Bank, id) => self.at().active_bank(BankId(id.0)),
            _ => Ok(()),
        }
    }

    /// Checks that the keys of the registrar whose certificate a command carries, and of the bank whose consent it
    /// carries, are still in force. As with a signer's own key, a refusal uses no sequence number: the key that could
    /// verify the certificate again is gone.
    fn admit_certificate(&self, command: &Command) -> Result<(), Outcome> {
        let certificate = match command {
            Command::OpenWallet(signed) => &signed.record.certificate,
            Command::ReplaceKey(signed) => &signed.record.certificate,
            Command::LinkBank(_) | Command::MoveWallet(_) => return self.admit_consent(command),
            _ => return Ok(()),
        };
        match self.ledger.members.active(Role::Registrar, certificate.registrar) {
            Some(seat) if seat.key_version == certificate.registrar_key_version => Ok(()),
            _ => refuse(Reason::UnknownRegistrar),
        }
    }

    fn admit_consent(&self, command: &Command) -> Result<(), Outcome> {
        let Some((statement, consent)) = command.consented() else { return Ok(()) };
        match self.ledger.members.bank(statement.bank) {
            Some(seat) if seat.key_version == consent.bank_key_version => Ok(()),
            _ => refuse(Reason::ConsentVoid),
        }
    }
}
