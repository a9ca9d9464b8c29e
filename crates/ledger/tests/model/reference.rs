//! The reference model: the specification once more, as plainly as it can be written.
//!
//! Signed 128-bit integers, ordered maps, sets of every used number and lists of every payment. Nothing is kept that
//! could be computed: a person's holdings are summed over wallets, a day's payments over all payments ever made. It
//! shares with the ledger only the types of commands and answers.

use std::collections::{BTreeMap, BTreeSet};

use cbdc_ledger::command::{FreezeKind, Head, IssuanceKind, Measure, Motion, PaymentKind, Signer};
use cbdc_ledger::member::Role;
use cbdc_ledger::outcome::{Reason, Stage};
use cbdc_ledger::policy::{Fate, PolicyChange};
use cbdc_ledger::{AccountId, Class, Command, Genesis, HolderId, Outcome, PublicKey};

const MAX: i128 = u64::MAX as i128;
const DAY_MS: i128 = 86_400_000;

/// Keys that no wallet and no member may have: two of small order, and one that is no point.
pub const UNSOUND_KEYS: [PublicKey; 3] = [unsound(0), unsound(1), unsound(2)];

const fn unsound(first: u8) -> PublicKey {
    let mut bytes = [0; 32];
    bytes[0] = first;
    PublicKey(bytes)
}

#[derive(Clone, PartialEq, Debug)]
pub struct Wallet {
    pub available: i128,
    pub frozen: i128,
    pub used: BTreeSet<u64>,
    pub key: PublicKey,
    pub key_version: u32,
    pub open: bool,
    pub holder: HolderId,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Seat {
    pub active: bool,
    pub used: BTreeSet<u64>,
    pub key: PublicKey,
    pub node_key: Option<PublicKey>,
    pub key_version: u32,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Policy {
    pub cap: Option<i128>,
    pub quota: Option<i128>,
    pub quota_of_bank: BTreeMap<u16, i128>,
    pub holding: BTreeMap<Class, i128>,
    pub payment: BTreeMap<Class, i128>,
    pub day: BTreeMap<Class, i128>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Proposal {
    pub motion: Motion,
    pub ballots: BTreeMap<u16, bool>,
    pub fate: Fate,
    pub closed_at: u64,
}

pub type Seats = BTreeMap<(Role, u16), Seat>;

#[derive(Clone, PartialEq, Debug)]
pub struct Model {
    pub time: u64,
    pub height: u64,
    pub offset_ms: i128,
    pub validity_ms: i128,
    pub header_signatures: usize,
    pub threshold: usize,
    pub seats: Seats,
    pub wallets: BTreeMap<AccountId, Wallet>,
    pub treasuries: BTreeMap<u16, i128>,
    pub seen_keys: BTreeSet<(u16, PublicKey)>,
    pub classes: BTreeMap<HolderId, Class>,
    /// (person, ledger day, amount) of every settled payment to somebody else.
    pub payments: Vec<(HolderId, i128, i128)>,
    /// (bank, ledger day, amount) of every issuance.
    pub issuances: Vec<(u16, i128, i128)>,
    pub reserves: BTreeMap<u16, i128>,
    pub issued: i128,
    pub redeemed: i128,
    /// Version 1 is the first.
    pub policies: Vec<Policy>,
    /// Number 1 is the first.
    pub proposals: Vec<Proposal>,
    /// Proposals closed by the present block.
    pub closed_now: Vec<u64>,
}

type Answer = Result<u64, Outcome>;

fn no<T>(reason: Reason, limit: i128, amount: i128) -> Result<T, Outcome> {
    let capped = |value: i128| value.clamp(0, MAX) as u64;
    Err(Outcome::refused(reason, capped(limit), capped(amount)))
}

fn minor(amount: cbdc_ledger::Amount) -> i128 {
    amount.minor() as i128
}

pub fn lowest_unused(used: &BTreeSet<u64>) -> u64 {
    (1..).find(|number| !used.contains(number)).unwrap()
}

impl Model {
    pub fn new(genesis: &Genesis) -> Model {
        let mut model = Model {
            time: genesis.created_at.0,
            height: 0,
            offset_ms: genesis.day_offset_minutes as i128 * 60_000,
            validity_ms: genesis.validity_ms_max as i128,
            header_signatures: genesis.header_signatures as usize,
            threshold: genesis.threshold as usize,
            seats: BTreeMap::new(),
            wallets: BTreeMap::new(),
            treasuries: BTreeMap::new(),
            seen_keys: BTreeSet::new(),
            classes: BTreeMap::new(),
            payments: Vec::new(),
            issuances: Vec::new(),
            reserves: genesis.books.banks().map(|(bank, books)| (bank.0, minor(books.reserves))).collect(),
            issued: 0,
            redeemed: 0,
            policies: vec![Policy::default()],
            proposals: Vec::new(),
            closed_now: Vec::new(),
        };
        assert_eq!(genesis.policy, Default::default(), "the model begins without limits");
        for member in &genesis.members {
            admit(&mut model.seats, member);
            if member.role == Role::Bank {
                model.treasuries.insert(member.id.0, 0);
            }
        }
        model
    }

    pub fn policy(&self) -> &Policy {
        self.policies.last().unwrap()
    }

    pub fn today(&self) -> i128 {
        (self.time as i128 + self.offset_ms).div_euclid(DAY_MS)
    }

    pub fn supply(&self) -> i128 {
        self.treasuries.values().sum::<i128>() + self.wallets.values().map(|wallet| wallet.available).sum::<i128>()
    }

    pub fn holdings(&self, person: HolderId) -> i128 {
        self.wallets.values().filter(|wallet| wallet.holder == person).map(|wallet| wallet.available).sum()
    }

    pub fn paid_today(&self, person: HolderId) -> i128 {
        let today = self.today();
        self.payments.iter().filter(|(who, day, _)| *who == person && *day == today).map(|(_, _, amount)| amount).sum()
    }

    pub fn issued_today(&self, bank: u16) -> i128 {
        let today = self.today();
        self.issuances.iter().filter(|(to, day, _)| *to == bank && *day == today).map(|(_, _, amount)| amount).sum()
    }

    pub fn reserves_of(&self, bank: u16) -> i128 {
        self.reserves.get(&bank).copied().unwrap_or(0)
    }

    pub fn class_of(&self, wallet: AccountId) -> Class {
        self.classes[&self.wallets[&wallet].holder]
    }

    fn active(&self, role: Role, id: u16) -> bool {
        self.seats.get(&(role, id)).is_some_and(|seat| seat.active)
    }

    pub fn open_wallet(&self, id: AccountId) -> Option<&Wallet> {
        self.wallets.get(&id).filter(|wallet| wallet.open)
    }

    // Blocks.

    /// The block's time, and what falls due at it.
    pub fn begin_block(&mut self, time: u64) {
        self.time = self.time.max(time);
        self.height += 1;
        self.closed_now.clear();
        for place in 0..self.proposals.len() {
            let proposal = self.proposals[place].clone();
            if proposal.fate != Fate::Open {
                continue;
            }
            let due = proposal.motion.effective_at.0 <= self.time;
            let lapsed = proposal.motion.lapses_at.0 <= self.time;
            let fate = match (self.carried(&proposal), due, lapsed) {
                (true, true, _) if self.first_unacceptable(&proposal.motion.measures).is_some() => Fate::Void,
                (true, true, _) => Fate::Enacted,
                (false, _, true) => Fate::Lapsed,
                _ => continue,
            };
            if fate == Fate::Enacted {
                self.enact(&proposal.motion.measures);
            }
            self.proposals[place].fate = fate;
            self.proposals[place].closed_at = self.time;
            self.closed_now.push(place as u64 + 1);
        }
    }

    pub fn carried(&self, proposal: &Proposal) -> bool {
        let in_favour = |(seat, approve): &(&u16, &bool)| **approve && self.active(Role::Committee, **seat);
        proposal.ballots.iter().filter(in_favour).count() >= self.threshold
    }

    /// When a block is next due without commands.
    pub fn next_due(&self) -> Option<u64> {
        let due = |proposal: &Proposal| {
            if self.carried(proposal) { proposal.motion.effective_at.0 } else { proposal.motion.lapses_at.0 }
        };
        self.proposals.iter().filter(|proposal| proposal.fate == Fate::Open).map(due).min()
    }

    fn enact(&mut self, measures: &[Measure]) {
        let mut policy = self.policy().clone();
        let mut changed = false;
        for measure in measures {
            if let Measure::Policy(change) = measure {
                changed = true;
                change_policy(&mut policy, change);
            }
            if let Measure::AdmitMember(member) = measure
                && member.role == Role::Bank
            {
                self.treasuries.insert(member.id.0, 0);
            }
            change_members(&mut self.seats, &mut self.threshold, measure);
        }
        if changed {
            self.policies.push(policy);
        }
    }

    /// The place of the first measure that cannot be enacted, the ones before it counted as done.
    fn first_unacceptable(&self, measures: &[Measure]) -> Option<usize> {
        let (mut seats, mut threshold) = (self.seats.clone(), self.threshold);
        for (place, measure) in measures.iter().enumerate() {
            if !is_acceptable(&seats, measure) {
                return Some(place);
            }
            change_members(&mut seats, &mut threshold, measure);
        }
        let active = |role| seats.iter().filter(|((found, _), seat)| *found == role && seat.active).count();
        let able = threshold >= 1
            && threshold <= active(Role::Committee)
            && active(Role::CentralBank) >= self.header_signatures;
        if able { None } else { Some(measures.len() - 1) }
    }

    // Commands.

    /// Settles or refuses one command.
    pub fn settle(&mut self, command: &Command) -> Outcome {
        let before = self.clone();
        match self.try_settle(command) {
            Ok(result) => Outcome::settled_with(result),
            Err(refusal) => {
                // I6, by construction: back to what was, and only the numbers are used.
                *self = before;
                if refusal.reason.stage() == Stage::Applied {
                    self.use_numbers(command);
                }
                refusal
            }
        }
    }

    fn use_numbers(&mut self, command: &Command) {
        self.use_number(command.signer(), command.head().sequence);
        if let Command::Issuance(signed) = command {
            let request = &signed.record.request.record;
            self.use_number(bank_signer(request.bank.0), request.head.sequence);
        }
    }

    fn use_number(&mut self, signer: Signer, number: u64) {
        let used = match signer {
            Signer::Holder(id) => &mut self.wallets.get_mut(&id).unwrap().used,
            Signer::Member(role, id) => &mut self.seats.get_mut(&(role, id.0)).unwrap().used,
        };
        assert!(used.insert(number), "I5: number {number} of {signer:?} was used before");
    }

    fn admit(&self, signer: Signer, head: &Head) -> Result<(), Outcome> {
        let (used, version, window) = match signer {
            Signer::Holder(id) => match self.open_wallet(id) {
                Some(wallet) => (&wallet.used, wallet.key_version, 64),
                None => return no(Reason::UnknownAccount, 0, 0),
            },
            Signer::Member(role, id) => match self.seats.get(&(role, id.0)) {
                Some(seat) if seat.active => (&seat.used, seat.key_version, 65_536),
                _ => return no(Reason::UnknownMember, 0, 0),
            },
        };
        if head.key_version != version {
            return no(Reason::KeyChanged, version as i128, head.key_version as i128);
        }
        let lowest = lowest_unused(used);
        if head.sequence < lowest || used.contains(&head.sequence) {
            return no(Reason::SequenceUsed, 0, 0);
        }
        if head.sequence as i128 >= lowest as i128 + window {
            return no(Reason::SequenceOutOfWindow, lowest as i128, head.sequence as i128);
        }
        Ok(())
    }

    fn check_validity(&self, head: &Head) -> Result<(), Outcome> {
        let (until, now) = (head.valid_until.0 as i128, self.time as i128);
        if until < now {
            return no(Reason::Expired, until, now);
        }
        if until > now + self.validity_ms {
            return no(Reason::ValidityTooLong, now + self.validity_ms, until);
        }
        Ok(())
    }

    fn try_settle(&mut self, command: &Command) -> Answer {
        self.admit(command.signer(), command.head())?;
        if let Command::Issuance(signed) = command {
            let request = &signed.record.request.record;
            self.admit(bank_signer(request.bank.0), &request.head)?;
        }
        let certificate = match command {
            Command::OpenWallet(signed) => Some(signed.record.certificate),
            Command::ReplaceKey(signed) => Some(signed.record.certificate),
            _ => None,
        };
        if let Some(certificate) = certificate {
            match self.seats.get(&(Role::Registrar, certificate.registrar.0)) {
                Some(seat) if seat.active && seat.key_version == certificate.registrar_key_version => {}
                _ => return no(Reason::UnknownRegistrar, 0, 0),
            }
        }
        self.use_numbers(command);
        self.check_validity(command.head())?;
        match command {
            Command::Payment(signed) => {
                let (from, to, amount) = (signed.record.from, signed.record.to, minor(signed.record.amount));
                if amount == 0 {
                    return no(Reason::AmountZero, 0, 0);
                }
                if from == to {
                    return no(Reason::SameAccount, 0, 0);
                }
                match signed.record.kind {
                    PaymentKind::Transfer => self.transfer(from, to, amount),
                    PaymentKind::Fund => self.fund(from, to, amount),
                    PaymentKind::Defund => self.defund(from, to, amount),
                }
            }
            Command::OpenWallet(signed) => {
                let open = &signed.record;
                self.open(open.bank.0, open.holder, open.class, open.key)
            }
            Command::CloseWallet(signed) => self.close(signed.record.account),
            Command::ReplaceKey(signed) => self.replace_key(signed.record.account, signed.record.key),
            Command::Issuance(signed) => {
                let request = &signed.record.request.record;
                self.check_validity(&request.head)?;
                let (bank, amount) = (request.bank.0, minor(request.amount));
                if amount == 0 {
                    return no(Reason::AmountZero, 0, 0);
                }
                match request.kind {
                    IssuanceKind::Issue => self.issue(bank, amount),
                    IssuanceKind::Redeem => self.redeem(bank, amount),
                }
            }
            Command::ReservesTransfer(signed) => {
                self.transfer_reserves(signed.record.from.0, signed.record.to.0, minor(signed.record.amount))
            }
            Command::Freeze(signed) => {
                self.freeze(signed.record.kind, signed.record.account, minor(signed.record.amount))
            }
            Command::Propose(signed) => self.propose(&signed.record),
            Command::Vote(signed) => self.vote(signed.record.proposal, signed.record.member.0, signed.record.approve),
        }
    }

    fn check_spendable(available: i128, frozen: i128, amount: i128) -> Result<(), Outcome> {
        let spendable = (available - frozen).max(0);
        if amount > available {
            return no(Reason::InsufficientFunds, spendable, amount);
        }
        if amount > spendable {
            return no(Reason::FundsFrozen, spendable, amount);
        }
        Ok(())
    }

    fn check_holding(&self, person: HolderId, amount: i128) -> Result<(), Outcome> {
        let after = self.holdings(person) + amount;
        match self.policy().holding.get(&self.classes[&person]) {
            Some(limit) if after > *limit => no(Reason::HoldingLimit, *limit, after),
            _ if after > MAX => no(Reason::Overflow, 0, amount),
            _ => Ok(()),
        }
    }

    fn transfer(&mut self, from: AccountId, to: AccountId, amount: i128) -> Answer {
        let payer = self.wallets[&from].clone();
        let Some(payee) = self.open_wallet(to).cloned() else { return no(Reason::UnknownPayee, 0, 0) };
        let to_self = payer.holder == payee.holder;
        if !to_self {
            let class = self.classes[&payer.holder];
            if let Some(limit) = self.policy().payment.get(&class)
                && amount > *limit
            {
                return no(Reason::PaymentLimit, *limit, amount);
            }
            let after = self.paid_today(payer.holder) + amount;
            if let Some(limit) = self.policy().day.get(&class)
                && after.min(MAX) > *limit
            {
                return no(Reason::DayLimit, *limit, after);
            }
        }
        Self::check_spendable(payer.available, payer.frozen, amount)?;
        if !to_self {
            self.check_holding(payee.holder, amount)?;
            self.payments.push((payer.holder, self.today(), amount));
        }
        self.wallets.get_mut(&from).unwrap().available -= amount;
        self.wallets.get_mut(&to).unwrap().available += amount;
        Ok(0)
    }

    fn fund(&mut self, from: AccountId, to: AccountId, amount: i128) -> Answer {
        if from.serial != 0 || to.bank != from.bank {
            return no(Reason::WrongBank, 0, 0);
        }
        let Some(wallet) = self.open_wallet(to).cloned() else { return no(Reason::UnknownPayee, 0, 0) };
        Self::check_spendable(self.treasuries[&from.bank.0], 0, amount)?;
        self.check_holding(wallet.holder, amount)?;
        *self.treasuries.get_mut(&from.bank.0).unwrap() -= amount;
        self.wallets.get_mut(&to).unwrap().available += amount;
        Ok(0)
    }

    fn defund(&mut self, from: AccountId, to: AccountId, amount: i128) -> Answer {
        if to.serial != 0 || to.bank != from.bank {
            return no(Reason::WrongBank, 0, 0);
        }
        if !self.active(Role::Bank, to.bank.0) {
            return no(Reason::BankNotActive, 0, 0);
        }
        let wallet = self.wallets.get_mut(&from).unwrap();
        Self::check_spendable(wallet.available, wallet.frozen, amount)?;
        wallet.available -= amount;
        *self.treasuries.get_mut(&to.bank.0).unwrap() += amount;
        Ok(0)
    }

    fn check_new_key(&self, bank: u16, key: PublicKey) -> Result<(), Outcome> {
        if UNSOUND_KEYS.contains(&key) {
            return no(Reason::KeyUnacceptable, 0, 0);
        }
        if self.seen_keys.contains(&(bank, key)) {
            return no(Reason::KeyInUse, 0, 0);
        }
        Ok(())
    }

    fn open(&mut self, bank: u16, holder: HolderId, class: Class, key: PublicKey) -> Answer {
        if class.0 >= 8 {
            return no(Reason::UnknownClass, 0, 0);
        }
        self.check_new_key(bank, key)?;
        if let Some(registered) = self.classes.get(&holder)
            && *registered != class
        {
            return no(Reason::HolderClassMismatch, registered.0 as i128, class.0 as i128);
        }
        let serial = self.wallets.keys().filter(|id| id.bank.0 == bank).count() as u32 + 1;
        let id = AccountId::new(cbdc_ledger::BankId(bank), serial);
        self.classes.insert(holder, class);
        self.seen_keys.insert((bank, key));
        let used = BTreeSet::new();
        self.wallets.insert(id, Wallet { available: 0, frozen: 0, used, key, key_version: 0, open: true, holder });
        Ok(id.to_u64())
    }

    fn close(&mut self, id: AccountId) -> Answer {
        let Some(wallet) = self.open_wallet(id) else { return no(Reason::UnknownPayee, 0, 0) };
        if wallet.available > 0 {
            return no(Reason::BalanceNotZero, 0, wallet.available);
        }
        if wallet.frozen > 0 {
            return no(Reason::FundsFrozen, 0, wallet.frozen);
        }
        self.wallets.get_mut(&id).unwrap().open = false;
        Ok(0)
    }

    fn replace_key(&mut self, id: AccountId, key: PublicKey) -> Answer {
        if self.open_wallet(id).is_none() {
            return no(Reason::UnknownPayee, 0, 0);
        }
        self.check_new_key(id.bank.0, key)?;
        self.seen_keys.insert((id.bank.0, key));
        let wallet = self.wallets.get_mut(&id).unwrap();
        wallet.key = key;
        wallet.key_version += 1;
        Ok(0)
    }

    fn issue(&mut self, bank: u16, amount: i128) -> Answer {
        let (policy, issued) = (self.policy(), self.issued_today(bank) + amount);
        match policy.quota_of_bank.get(&bank).or(policy.quota.as_ref()) {
            Some(quota) if issued.min(MAX) > *quota => return no(Reason::IssuanceQuota, *quota, issued),
            _ => {}
        }
        match policy.cap {
            Some(cap) if (self.supply() + amount).min(MAX) > cap => {
                return no(Reason::SupplyCap, cap, self.supply() + amount);
            }
            _ => {}
        }
        if self.treasuries[&bank] + amount > MAX || self.issued + amount > MAX {
            return no(Reason::Overflow, 0, amount);
        }
        if amount > self.reserves_of(bank) {
            return no(Reason::InsufficientReserves, self.reserves_of(bank), amount);
        }
        if self.supply() + amount > MAX {
            return no(Reason::Overflow, 0, amount);
        }
        *self.reserves.entry(bank).or_default() -= amount;
        *self.treasuries.get_mut(&bank).unwrap() += amount;
        self.issued += amount;
        self.issuances.push((bank, self.today(), amount));
        Ok(0)
    }

    fn redeem(&mut self, bank: u16, amount: i128) -> Answer {
        if amount > self.treasuries[&bank] {
            return no(Reason::InsufficientFunds, self.treasuries[&bank], amount);
        }
        if self.redeemed + amount > MAX || self.reserves_of(bank) + amount > MAX {
            return no(Reason::Overflow, 0, amount);
        }
        *self.treasuries.get_mut(&bank).unwrap() -= amount;
        *self.reserves.entry(bank).or_default() += amount;
        self.redeemed += amount;
        Ok(0)
    }

    fn transfer_reserves(&mut self, from: u16, to: u16, amount: i128) -> Answer {
        if amount == 0 {
            return no(Reason::AmountZero, 0, 0);
        }
        if from == to {
            return no(Reason::SameAccount, 0, 0);
        }
        if !self.active(Role::Bank, to) {
            return no(Reason::BankNotActive, 0, 0);
        }
        if amount > self.reserves_of(from) {
            return no(Reason::InsufficientReserves, self.reserves_of(from), amount);
        }
        if self.reserves_of(to) + amount > MAX {
            return no(Reason::Overflow, 0, amount);
        }
        *self.reserves.entry(from).or_default() -= amount;
        *self.reserves.entry(to).or_default() += amount;
        Ok(0)
    }

    fn freeze(&mut self, kind: FreezeKind, id: AccountId, amount: i128) -> Answer {
        if amount == 0 {
            return no(Reason::AmountZero, 0, 0);
        }
        let Some(wallet) = self.open_wallet(id) else { return no(Reason::UnknownPayee, 0, 0) };
        let frozen = match kind {
            FreezeKind::Freeze => wallet.frozen + amount,
            FreezeKind::Unfreeze => wallet.frozen - amount,
        };
        if frozen > MAX {
            return no(Reason::Overflow, 0, amount);
        }
        if frozen < 0 {
            return no(Reason::FreezeExceeded, wallet.frozen, amount);
        }
        self.wallets.get_mut(&id).unwrap().frozen = frozen;
        Ok(0)
    }

    fn propose(&mut self, motion: &Motion) -> Answer {
        if motion.lapses_at.0 < self.time || motion.lapses_at < motion.effective_at {
            return no(Reason::Expired, motion.lapses_at.0 as i128, self.time as i128);
        }
        let open = self.proposals.iter().filter(|proposal| proposal.fate == Fate::Open).count() as i128;
        if open >= 64 {
            return no(Reason::TooManyProposals, 64, open + 1);
        }
        if let Some(place) = self.first_unacceptable(&motion.measures) {
            return no(Reason::MeasureUnacceptable, 0, place as i128);
        }
        let ballots = BTreeMap::from([(motion.member.0, true)]);
        self.proposals.push(Proposal { motion: motion.clone(), ballots, fate: Fate::Open, closed_at: 0 });
        Ok(self.proposals.len() as u64)
    }

    fn vote(&mut self, number: u64, seat: u16, approve: bool) -> Answer {
        let place = (number as usize).wrapping_sub(1);
        let Some(proposal) = self.proposals.get_mut(place) else { return no(Reason::UnknownProposal, 0, 0) };
        if proposal.fate != Fate::Open {
            return no(Reason::ProposalClosed, 0, 0);
        }
        proposal.ballots.insert(seat, approve);
        Ok(0)
    }
}

fn bank_signer(bank: u16) -> Signer {
    Signer::Member(Role::Bank, cbdc_ledger::MemberId(bank))
}

fn admit(seats: &mut Seats, member: &cbdc_ledger::member::Member) {
    let (key, node_key) = (member.signing_key, member.node_key);
    let seat = Seat { active: true, used: BTreeSet::new(), key, node_key, key_version: 0 };
    seats.insert((member.role, member.id.0), seat);
}

fn is_acceptable(seats: &Seats, measure: &Measure) -> bool {
    let is_active = |role: Role, id: u16| seats.get(&(role, id)).is_some_and(|seat| seat.active);
    let taken = |node_key: &Option<PublicKey>, by_another_than: (Role, u16)| {
        node_key.is_some()
            && seats.iter().any(|(who, seat)| seat.active && seat.node_key == *node_key && *who != by_another_than)
    };
    match measure {
        Measure::Policy(PolicyChange::IssuanceQuotaOfBank { bank, .. }) => seats.contains_key(&(Role::Bank, bank.0)),
        Measure::Policy(_) | Measure::Threshold(_) => true,
        Measure::AdmitMember(member) => {
            !seats.contains_key(&(member.role, member.id.0))
                && (member.role != Role::Bank || member.id.0 != 0)
                && !UNSOUND_KEYS.contains(&member.signing_key)
                && !taken(&member.node_key, (member.role, member.id.0))
        }
        Measure::ReplaceKeys { role, id, signing_key, node_key } => {
            is_active(*role, id.0) && !UNSOUND_KEYS.contains(signing_key) && !taken(node_key, (*role, id.0))
        }
        Measure::DismissMember { role, id } => is_active(*role, id.0),
    }
}

fn change_members(seats: &mut Seats, threshold: &mut usize, measure: &Measure) {
    match measure {
        Measure::Policy(_) => {}
        Measure::AdmitMember(member) => admit(seats, member),
        Measure::ReplaceKeys { role, id, signing_key, node_key } => {
            let seat = seats.get_mut(&(*role, id.0)).unwrap();
            (seat.key, seat.node_key) = (*signing_key, *node_key);
            seat.key_version += 1;
        }
        Measure::DismissMember { role, id } => seats.get_mut(&(*role, id.0)).unwrap().active = false,
        Measure::Threshold(found) => *threshold = *found as usize,
    }
}

fn change_policy(policy: &mut Policy, change: &PolicyChange) {
    fn put<K: Ord>(map: &mut BTreeMap<K, i128>, key: K, limit: Option<cbdc_ledger::Amount>) {
        match limit {
            Some(limit) => map.insert(key, minor(limit)),
            None => map.remove(&key),
        };
    }
    match *change {
        PolicyChange::SupplyCap(cap) => policy.cap = cap.map(minor),
        PolicyChange::IssuanceQuota(quota) => policy.quota = quota.map(minor),
        PolicyChange::IssuanceQuotaOfBank { bank, quota } => put(&mut policy.quota_of_bank, bank.0, quota),
        PolicyChange::HoldingLimit { class, limit } => put(&mut policy.holding, class, limit),
        PolicyChange::PaymentLimit { class, limit } => put(&mut policy.payment, class, limit),
        PolicyChange::DayLimit { class, limit } => put(&mut policy.day, class, limit),
    }
}
