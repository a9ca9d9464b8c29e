//! The simulation's authority: it acts for every signer, writes commands into block proposals and applies them to the
//! ledger in virtual time.
//!
//! 1. Commands are written one after the other into one buffer, with their signers' next sequence numbers.
//! 2. [`Authority::settle`] makes them a block proposal stamped with the simulation's time, applies it, and returns one
//!    outcome for each. Every proposal is one second later than the one before.
//!
//! It issues no command that a real signer on a network could not sign.

use std::collections::BTreeMap;

use cbdc_ledger::amount::{Amount, RatePpm};
use cbdc_ledger::block::DepositDirection;
use cbdc_ledger::command::{
    Ballot, BankConsent, Certificate, Choice, DepositStatement, DesignateWallet, FLAG_REVERSE_WATERFALL,
    GovernanceAction, GovernanceProposal, Head, IssuanceKind, IssuanceOrder, IssuanceRequest, Kind, LinkBank,
    OpenWallet, Operation, OperationKind, Payment, PaymentKind, Record, ReservesTransfer, ReverseWaterfall,
};
use cbdc_ledger::encoding::{VERSION, Writer};
use cbdc_ledger::identity::{AccountId, BankId, Class, HolderId, MemberId};
use cbdc_ledger::outcome::{Outcome, Stage};
use cbdc_ledger::time::{LedgerDay, Timestamp};
use cbdc_ledger::virtual_time::{self, UNSIGNED, VirtualLedger};
use cbdc_ledger::{Block, Genesis, Ledger, Signed};

use crate::error::EconomyError;

/// Writes, numbers and applies all commands of a simulation.
pub struct Authority {
    ledger: VirtualLedger,
    commands: Writer,
    kinds: Vec<Kind>,
    proposal: Vec<u8>,
    time: Timestamp,
    operator_sequence: u64,
    bank_sequences: Vec<u64>,
    committee_sequences: Vec<u64>,
    wallets_opened: u64,
    tally: BTreeMap<(&'static str, &'static str), u64>,
    commands_settled: u64,
    commands_refused: u64,
}

/// A holder's payment from wallet to wallet.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    pub from: AccountId,
    pub to: AccountId,
    pub amount: Amount,
    /// The largest fee that the payer accepts on top of the amount.
    pub max_fee: Amount,
    pub sequence: u64,
}

const OPERATOR: MemberId = MemberId(1);
const REGISTRAR: MemberId = MemberId(1);
const VALIDITY_MS: u64 = 3_600_000;

impl Authority {
    /// An authority over a new ledger with banks 1 to `banks` and committee seats 1 to `seats`.
    pub fn new(genesis: Genesis, banks: u16, seats: u16) -> Result<Authority, EconomyError> {
        let time = genesis.created_at;
        Ok(Authority {
            ledger: VirtualLedger::new(genesis)?,
            commands: Writer::with_capacity(1 << 20),
            kinds: Vec::new(),
            proposal: Vec::new(),
            time,
            operator_sequence: 0,
            bank_sequences: vec![0; usize::from(banks) + 1],
            committee_sequences: vec![0; usize::from(seats) + 1],
            wallets_opened: 0,
            tally: BTreeMap::new(),
            commands_settled: 0,
            commands_refused: 0,
        })
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Advances virtual time to `time`, if that is later.
    pub fn advance_to(&mut self, time: Timestamp) {
        self.time = self.time.max(time);
    }

    /// The number of commands waiting for the next proposal.
    pub fn waiting(&self) -> usize {
        self.kinds.len()
    }

    /// Applies the waiting commands as one proposal, which may be empty, and returns the outcome of each.
    ///
    /// # Errors
    /// A command was refused before it used its sequence number: the authority has miscounted.
    pub fn settle(&mut self) -> Result<Vec<Outcome>, EconomyError> {
        self.settle_block().map(|block| block.outcomes)
    }

    /// Like [`Authority::settle`], with what each command's waterfall moved to the payee's deposit, minor units.
    pub fn settle_with_waterfalls(&mut self) -> Result<Vec<(Outcome, i64)>, EconomyError> {
        let block = self.settle_block()?;
        let mut settled: Vec<(Outcome, i64)> = block.outcomes.iter().map(|outcome| (*outcome, 0)).collect();
        let waterfalls = block.changes.deposits.iter().filter(|moved| moved.direction == DepositDirection::ToDeposit);
        for moved in waterfalls {
            if let Some((_, waterfall)) = settled.get_mut(moved.index as usize) {
                *waterfall = moved.amount.minor() as i64;
            }
        }
        Ok(settled)
    }

    fn settle_block(&mut self) -> Result<Block, EconomyError> {
        let mut head = Writer::with_capacity(16);
        head.u8(VERSION).reserved(3).u32(self.kinds.len() as u32).u64(self.time.0);
        self.proposal.clear();
        self.proposal.extend_from_slice(head.as_bytes());
        self.proposal.extend_from_slice(self.commands.as_bytes());
        let block = self.ledger.apply(&self.proposal)?;
        for (kind, outcome) in self.kinds.iter().zip(&block.outcomes) {
            if outcome.reason.stage() == Stage::BeforeOrdering {
                let day = 0;
                return Err(EconomyError::Refused { day, what: kind.name(), outcome: *outcome });
            }
            *self.tally.entry((kind.name(), outcome.reason.name())).or_default() += 1;
            match outcome.is_settled() {
                true => self.commands_settled += 1,
                false => self.commands_refused += 1,
            }
        }
        self.commands.clear();
        self.kinds.clear();
        self.time = self.time.plus_ms(1_000);
        Ok(block)
    }

    /// Commands settled and refused so far.
    pub fn counts(&self) -> (u64, u64) {
        (self.commands_settled, self.commands_refused)
    }

    /// Commands so far by kind and reason.
    pub fn tally(&self) -> &BTreeMap<(&'static str, &'static str), u64> {
        &self.tally
    }

    fn head(&self, sequence: u64) -> Head {
        Head { flags: 0, key_version: 0, sequence, valid_until: self.time.plus_ms(VALIDITY_MS) }
    }

    fn bank_head(&mut self, bank: BankId) -> Head {
        let sequence = &mut self.bank_sequences[usize::from(bank.0)];
        *sequence += 1;
        let sequence = *sequence;
        self.head(sequence)
    }

    fn operator_head(&mut self) -> Head {
        self.operator_sequence += 1;
        self.head(self.operator_sequence)
    }

    fn push<R: Record>(&mut self, record: R) {
        self.kinds.push(record.kind());
        Signed { record, signature: UNSIGNED }.encode(&mut self.commands);
    }

    fn payment(&self, kind: PaymentKind, head: Head, from: AccountId, to: AccountId, amount: Amount) -> Payment {
        Payment { kind, head, from, to, amount, max_fee: Amount::ZERO, reference: [0; 16] }
    }

    /// A transfer from wallet to wallet as its holder signs it.
    fn signed_transfer(&self, transfer: &Transfer, flags: u16) -> Payment {
        let Transfer { from, to, amount, max_fee, sequence } = *transfer;
        let head = Head { flags, ..self.head(sequence) };
        Payment { max_fee, ..self.payment(PaymentKind::Transfer, head, from, to, amount) }
    }

    /// A holder pays from wallet to wallet.
    pub fn transfer(&mut self, transfer: Transfer) {
        self.push(self.signed_transfer(&transfer, 0));
    }

    /// A holder pays more than the wallet holds; their bank adds at most `maximum` from the deposit.
    pub fn transfer_with_top_up(&mut self, transfer: Transfer, bank: BankId, maximum: Amount) {
        let record = self.signed_transfer(&transfer, FLAG_REVERSE_WATERFALL);
        let head = self.bank_head(bank);
        self.push(ReverseWaterfall { head, bank, maximum, transfer: Signed { record, signature: UNSIGNED } });
    }

    /// A bank moves CBDC from its treasury to a customer's wallet.
    pub fn fund(&mut self, to: AccountId, amount: Amount) {
        let head = self.bank_head(to.bank);
        self.push(self.payment(PaymentKind::Fund, head, AccountId::treasury(to.bank), to, amount));
    }

    /// A holder moves CBDC from their wallet to the treasury of its bank.
    pub fn defund(&mut self, from: AccountId, amount: Amount, sequence: u64) {
        let head = self.head(sequence);
        self.push(self.payment(PaymentKind::Defund, head, from, AccountId::treasury(from.bank), amount));
    }

    /// A bank opens a wallet for a holder whom the registrar certifies. The outcome's result is the new account.
    pub fn open_wallet(&mut self, bank: BankId, class: Class, holder: HolderId) {
        self.wallets_opened += 1;
        let key = virtual_time::wallet_key(self.wallets_opened);
        let head = self.bank_head(bank);
        let (valid_until, signature) = (Timestamp(u64::MAX), UNSIGNED);
        let certificate = Certificate { registrar: REGISTRAR, registrar_key_version: 0, valid_until, signature };
        self.push(OpenWallet { head, bank, class, holder, key, certificate, agreement: UNSIGNED });
    }

    /// A holder agrees that CBDC above the limit goes to their deposit at a bank.
    pub fn link(&mut self, account: AccountId, bank: BankId, sequence: u64) {
        let head = self.head(sequence);
        let consent = BankConsent { bank_key_version: 0, valid_until: Timestamp(u64::MAX), signature: UNSIGNED };
        self.push(LinkBank { head, account, bank, consent: Some(consent).filter(|_| bank != BankId(0)) });
    }

    /// A holder assigns their tier allowance to this wallet.
    pub fn designate(&mut self, account: AccountId, sequence: u64) {
        let head = self.head(sequence);
        self.push(DesignateWallet { head, account });
    }

    /// A bank requests, and the operator orders, that reserves become CBDC in its treasury, or the reverse.
    pub fn issuance(&mut self, kind: IssuanceKind, bank: BankId, amount: Amount) {
        let request_head = self.bank_head(bank);
        let request =
            Signed { record: IssuanceRequest { kind, head: request_head, bank, amount }, signature: UNSIGNED };
        let head = self.operator_head();
        self.push(IssuanceOrder { head, operator: OPERATOR, request });
    }

    /// A bank pays another with reserves.
    pub fn transfer_reserves(&mut self, from: BankId, to: BankId, amount: Amount) {
        let head = self.bank_head(from);
        self.push(ReservesTransfer { head, from, to, amount });
    }

    /// The operations desk books an operation with a bank. Market operations are at par.
    pub fn operation(&mut self, kind: OperationKind, bank: BankId, amount: Amount) {
        let is_market = matches!(kind, OperationKind::BuySecurities | OperationKind::SellSecurities);
        self.market_operation(kind, bank, amount, if is_market { 1_000_000 } else { 0 });
    }

    /// The operations desk buys from a bank, or sells to it, at a price in ppm of par.
    pub fn market_operation(&mut self, kind: OperationKind, bank: BankId, amount: Amount, price_ppm: u32) {
        let head = self.operator_head();
        let (rate, matures) = (RatePpm(0), LedgerDay(0));
        self.push(Operation { kind, head, operator: OPERATOR, bank, amount, price_ppm, rate, matures });
    }

    /// The desk lends to a bank until a day at a rate.
    pub fn refinance(&mut self, bank: BankId, amount: Amount, rate: RatePpm, matures: LedgerDay) {
        let head = self.operator_head();
        let kind = OperationKind::Refinance;
        self.push(Operation { kind, head, operator: OPERATOR, bank, amount, price_ppm: 0, rate, matures });
    }

    /// A bank states its customers' deposits.
    pub fn state_deposits(&mut self, bank: BankId, deposits: Amount) {
        let head = self.bank_head(bank);
        self.push(DepositStatement { head, bank, deposits });
    }

    /// The committee proposes actions, approves them by the votes required and has the ledger enact them at once.
    /// Returns the proposal's number.
    ///
    /// # Errors
    /// The ledger refused the proposal.
    pub fn enact(&mut self, actions: Vec<GovernanceAction>, threshold: u16) -> Result<u64, EconomyError> {
        debug_assert_eq!(self.waiting(), 0, "outcomes would be lost");
        let proposal = self.ledger.proposals().count() + 1;
        let (effective_at, expires_at) = (self.time, self.time.plus_ms(VALIDITY_MS));
        let head = self.committee_head(1);
        self.push(GovernanceProposal { head, member: MemberId(1), effective_at, expires_at, actions });
        for seat in 2..=threshold {
            let head = self.committee_head(seat);
            self.push(Ballot { head, member: MemberId(seat), choice: Choice::Approve, proposal });
        }
        let outcomes = self.settle()?;
        if let Some(refusal) = outcomes.iter().find(|outcome| !outcome.is_settled()) {
            return Err(EconomyError::Refused { day: 0, what: "governance proposal", outcome: *refusal });
        }
        // The first block at or after the effective time enacts it.
        self.settle()?;
        Ok(proposal)
    }

    fn committee_head(&mut self, seat: u16) -> Head {
        let sequence = &mut self.committee_sequences[usize::from(seat)];
        *sequence += 1;
        let sequence = *sequence;
        self.head(sequence)
    }
}

/// An amount as the ledger counts it; below zero becomes zero.
pub fn minor(amount_minor: i64) -> Amount {
    Amount::from_minor(amount_minor.max(0) as u64)
}

/// A wallet's account; `None` if `wallet` is 0, which means no wallet.
pub fn account(wallet: u64) -> Option<AccountId> {
    AccountId::from_u64(wallet).filter(|_| wallet != 0)
}
