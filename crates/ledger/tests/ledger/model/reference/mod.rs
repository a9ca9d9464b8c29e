//! The reference model: a second implementation of the specification, as plain as possible.
//!
//! Signed 128-bit integers, ordered maps, sets of every used number and lists of every payment. Nothing is kept that
//! could be computed: a holder's holdings are summed over wallets, a day's payments over all payments ever made, what a
//! wallet has held over open holds, the CBDC in circulation over all wallets. Interest is eager: every wallet accrues
//! at the end of every day. It shares with the ledger only the types of commands and answers.
//!
//! Modules: `calendar`, `policy` (parameters), `wallets`, `payments`, `programmes` (what falls due), `interest`,
//! `banks`, `proposals`.

mod banks;
pub mod calendar;
mod interest;
mod payments;
mod policy;
mod programmes;
mod proposals;
mod wallets;

use std::collections::{BTreeMap, BTreeSet};

use cbdc_ledger::books::BookAccount;
use cbdc_ledger::command::{Head, IssuanceKind, PaymentKind, Signer};
use cbdc_ledger::governance::ProposalStatus;
use cbdc_ledger::member::Role;
use cbdc_ledger::outcome::{Reason, Stage};
use cbdc_ledger::{AccountId, BankId, Class, Command, FormatVersion, Genesis, HolderId, Outcome, PublicKey};

pub use banks::Position;
pub use payments::Order;
pub use policy::Policy;
pub use programmes::{Hold, Programme};
pub use proposals::Proposal;

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
    /// What each court has frozen; courts with nothing frozen are absent.
    pub frozen_by: BTreeMap<u16, i128>,
    /// Purpose-bound money by programme, what holds have reserved included.
    pub earmarks: BTreeMap<u64, i128>,
    /// Interest of ended days that is not posted, in minor units × ppm.
    pub accrued: i128,
    /// Demurrage that fell due here and could not be paid, before it joins what the holder owes.
    pub claim: i128,
    pub linked_bank: u16,
    /// Whether the holder's tier allowance belongs to it.
    pub allowance: bool,
    pub used: BTreeSet<u64>,
    pub key: PublicKey,
    pub key_version: u32,
    pub open: bool,
    /// The account that replaced it at another bank.
    pub moved_to: Option<AccountId>,
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

/// A version of policy and the ledger day of its enactment.
#[derive(Clone, PartialEq, Debug)]
pub struct Enacted {
    pub enacted_on: i128,
    pub policy: Policy,
}

/// The terms of I1, each the sum since genesis.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Terms {
    pub issued: i128,
    pub redeemed: i128,
    pub reverse_waterfall: i128,
    pub waterfall: i128,
    pub interest: i128,
    pub demurrage: i128,
    pub fees: i128,
    pub unbacked: i128,
    pub targeted: i128,
    pub expired: i128,
}

/// Money that a command moved between a wallet and a deposit.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Movement {
    pub index: u32,
    pub bank: u16,
    pub wallet: AccountId,
    pub amount: i128,
    pub to_deposit: bool,
}

pub type Seats = BTreeMap<(Role, u16), Seat>;

#[derive(Clone, PartialEq, Debug)]
pub struct Model {
    pub format: FormatVersion,
    pub time: u64,
    pub height: u64,
    pub offset_ms: i128,
    pub day_count: i128,
    pub validity_ms: i128,
    pub header_signatures: usize,
    pub threshold: usize,
    pub seats: Seats,
    pub wallets: BTreeMap<AccountId, Wallet>,
    pub treasuries: BTreeMap<u16, i128>,
    pub seen_keys: BTreeSet<PublicKey>,
    pub classes: BTreeMap<HolderId, Class>,
    /// Holders in the order of their registration.
    pub registered: Vec<HolderId>,
    /// What holders owe as demurrage.
    pub claims: BTreeMap<HolderId, i128>,
    /// The wallets that a block's sweep reaches: all of them, or those that a test says.
    pub swept: Option<BTreeSet<AccountId>>,
    /// (holder, ledger day, amount) of every settled payment to somebody else.
    pub payments: Vec<(HolderId, i128, i128)>,
    /// (holder, time) of those that velocity counts.
    pub counted_payments: Vec<(HolderId, u64)>,
    /// (bank, ledger day, amount) of every issuance.
    pub issuances: Vec<(u16, i128, i128)>,
    /// All accounts of the balance sheet but CBDC and loans, which are sums of others.
    pub books: BTreeMap<BookAccount, i128>,
    pub securities_nominal: i128,
    pub positions: BTreeMap<u16, Position>,
    pub period_start: i128,
    pub period_days: i128,
    /// The policy whose requirement and penalty hold for the period.
    pub period_policy: Policy,
    pub terms: Terms,
    pub holds: BTreeMap<u64, Hold>,
    pub holds_placed: u64,
    /// Number 1 is the first.
    pub programmes: Vec<Programme>,
    /// Version 1 is the first.
    pub policies: Vec<Enacted>,
    /// Number 1 is the first.
    pub proposals: Vec<Proposal>,
    /// Proposals closed by the present block.
    pub closed_now: Vec<u64>,
    /// The movements of the present block to and from deposits.
    pub movements: Vec<Movement>,
    /// The index of the next command in the present block.
    pub index: u32,
    pub work_left: i128,
    /// Banks whose customers move to another in the present block.
    pub handovers: Vec<(u16, u16)>,
}

type Answer = Result<Outcome, Outcome>;

fn no<T>(reason: Reason, limit: i128, amount: i128) -> Result<T, Outcome> {
    let capped = |value: i128| value.clamp(0, MAX) as u64;
    Err(Outcome::refused(reason, capped(limit), capped(amount)))
}

fn done(result: i128) -> Answer {
    Ok(Outcome::settled_with(result as u64))
}

pub fn minor(amount: cbdc_ledger::Amount) -> i128 {
    amount.minor() as i128
}

pub fn lowest_unused(used: &BTreeSet<u64>) -> u64 {
    (1..).find(|number| !used.contains(number)).unwrap()
}

impl Model {
    pub fn new(genesis: &Genesis) -> Model {
        let books = &genesis.books;
        let kept = |account: &BookAccount| !matches!(account, BookAccount::Cbdc | BookAccount::Loans(_));
        let accounts = books.accounts().into_iter().chain([BookAccount::Equity]).filter(kept);
        let mut model = Model {
            format: genesis.format,
            time: genesis.created_at.0,
            height: 0,
            offset_ms: genesis.day_offset_minutes as i128 * 60_000,
            day_count: i128::from(genesis.day_count.days()),
            validity_ms: genesis.validity_ms_max as i128,
            header_signatures: genesis.header_signatures as usize,
            threshold: genesis.threshold as usize,
            seats: BTreeMap::new(),
            wallets: BTreeMap::new(),
            treasuries: BTreeMap::new(),
            seen_keys: BTreeSet::new(),
            classes: BTreeMap::new(),
            registered: Vec::new(),
            claims: BTreeMap::new(),
            swept: None,
            payments: Vec::new(),
            counted_payments: Vec::new(),
            issuances: Vec::new(),
            books: accounts.map(|account| (account, books.balance(account))).collect(),
            securities_nominal: minor(books.securities_nominal()),
            positions: BTreeMap::new(),
            period_start: 0,
            period_days: i128::from(genesis.policy.reserves.period_days),
            period_policy: Policy::of(&genesis.policy),
            terms: Terms::default(),
            holds: BTreeMap::new(),
            holds_placed: 0,
            programmes: Vec::new(),
            policies: vec![Enacted { enacted_on: -1, policy: Policy::of(&genesis.policy) }],
            proposals: Vec::new(),
            closed_now: Vec::new(),
            movements: Vec::new(),
            index: 0,
            work_left: 0,
            handovers: Vec::new(),
        };
        model.period_start = model.today();
        genesis.members.iter().for_each(|member| model.admit_member(member));
        model
    }

    // What can be computed.

    pub fn policy(&self) -> &Policy {
        &self.policies.last().unwrap().policy
    }

    fn day_at(&self, time: u64) -> i128 {
        (i128::from(time) + self.offset_ms).div_euclid(DAY_MS)
    }

    pub fn today(&self) -> i128 {
        self.day_at(self.time)
    }

    /// Minor units × ppm × days of a posted minor unit.
    pub fn unit(&self) -> i128 {
        self.day_count * 1_000_000
    }

    pub fn supply(&self) -> i128 {
        let of_wallets: i128 = self.wallets.keys().map(|id| self.own(*id) + self.earmarked(*id)).sum();
        self.treasuries.values().sum::<i128>() + of_wallets
    }

    /// The amount that a wallet's open holds have taken from its own money.
    pub fn held(&self, id: AccountId) -> i128 {
        self.holds.values().filter(|hold| hold.payer == id).map(|hold| hold.held).sum()
    }

    pub fn earmarked(&self, id: AccountId) -> i128 {
        self.wallets[&id].earmarks.values().sum()
    }

    pub fn earmark(&self, id: AccountId, programme: u64) -> i128 {
        self.wallets[&id].earmarks.get(&programme).copied().unwrap_or(0)
    }

    /// The amount of an earmark that holds have reserved.
    pub fn earmark_held(&self, id: AccountId, programme: u64) -> i128 {
        let of_payer = self.holds.values().filter(|hold| hold.payer == id).flat_map(|hold| &hold.earmarks);
        of_payer.filter(|(number, _)| *number == programme).map(|(_, amount)| amount).sum()
    }

    /// The balance that earns interest and counts towards the holding limit.
    pub fn own(&self, id: AccountId) -> i128 {
        self.wallets[&id].available + self.held(id)
    }

    pub fn spendable(&self, id: AccountId) -> i128 {
        (self.wallets[&id].available - self.wallets[&id].frozen).max(0)
    }

    pub fn wallets_of(&self, holder: HolderId) -> impl Iterator<Item = AccountId> {
        self.wallets.iter().filter(move |(_, wallet)| wallet.holder == holder).map(|(id, _)| *id)
    }

    pub fn holdings(&self, holder: HolderId) -> i128 {
        self.wallets_of(holder).map(|id| self.own(id)).sum()
    }

    pub fn allowance_of(&self, holder: HolderId) -> Option<AccountId> {
        self.wallets_of(holder).find(|id| self.wallets[id].allowance)
    }

    fn paid(&self, holder: HolderId, is_counted: impl Fn(i128) -> bool) -> i128 {
        self.payments.iter().filter(|(who, day, _)| *who == holder && is_counted(*day)).map(|(.., amount)| amount).sum()
    }

    pub fn paid_today(&self, holder: HolderId) -> i128 {
        let today = self.today();
        self.paid(holder, |day| day == today)
    }

    pub fn paid_this_month(&self, holder: HolderId) -> i128 {
        let month = calendar::month_of(self.today());
        self.paid(holder, |day| calendar::month_of(day) == month)
    }

    /// How many payments velocity counts after a time.
    pub fn payments_since(&self, holder: HolderId, time: i128) -> i128 {
        let is_counted = |(who, settled): &&(HolderId, u64)| *who == holder && i128::from(*settled) > time;
        self.counted_payments.iter().filter(is_counted).count() as i128
    }

    pub fn issued_today(&self, bank: u16) -> i128 {
        let today = self.today();
        self.issuances.iter().filter(|(to, day, _)| *to == bank && *day == today).map(|(_, _, amount)| amount).sum()
    }

    pub fn reserves_of(&self, bank: u16) -> i128 {
        self.balance(BookAccount::Reserves(BankId(bank)))
    }

    pub fn loans_of(&self, bank: u16) -> i128 {
        self.positions[&bank].loans.iter().map(|loan| loan.principal).sum()
    }

    pub fn class_of(&self, wallet: AccountId) -> Class {
        self.classes[&self.wallets[&wallet].holder]
    }

    fn active(&self, role: Role, id: u16) -> bool {
        self.seats.get(&(role, id)).is_some_and(|seat| seat.active)
    }

    /// Why nobody can be paid on an account.
    fn no_payee<T>(&self, id: AccountId) -> Result<T, Outcome> {
        let mut last = id;
        while let Some(next) = self.wallets.get(&last).and_then(|wallet| wallet.moved_to) {
            last = next;
        }
        if last == id { no(Reason::UnknownPayee, 0, 0) } else { no(Reason::WalletMoved, 0, last.to_u64().into()) }
    }

    pub fn open_wallet(&self, id: AccountId) -> Option<&Wallet> {
        self.wallets.get(&id).filter(|wallet| wallet.open)
    }

    // Books.

    pub fn balance(&self, account: BookAccount) -> i128 {
        match account {
            BookAccount::Cbdc => self.supply(),
            BookAccount::Loans(bank) => self.loans_of(bank.0),
            kept => self.books.get(&kept).copied().unwrap_or(0),
        }
    }

    /// Debits one account and credits another. The sums that CBDC and loans are change with their parts.
    fn entry(&mut self, debit: BookAccount, credit: BookAccount, amount: i128) -> Result<(), Outcome> {
        let is_asset = |account| matches!(account, BookAccount::Securities | BookAccount::Loans(_));
        let change = |is_debit: bool, account| if is_debit == is_asset(account) { amount } else { -amount };
        let changes = [(debit, change(true, debit)), (credit, change(false, credit))];
        for (account, change) in changes {
            let before = self.balance(account);
            let after = before + change;
            if account == BookAccount::Equity || (0..=MAX).contains(&after) {
                continue;
            }
            return match account {
                _ if after > MAX => no(Reason::Overflow, 0, amount),
                BookAccount::Reserves(_) => no(Reason::InsufficientReserves, before, amount),
                _ => no(Reason::InsufficientFunds, before, amount),
            };
        }
        for (account, change) in changes {
            if !matches!(account, BookAccount::Cbdc | BookAccount::Loans(_)) {
                *self.books.entry(account).or_default() += change;
            }
        }
        Ok(())
    }

    // Blocks.

    /// The block's time, and what falls due at it.
    pub fn begin_block(&mut self, time: u64) {
        let time = self.time.max(time);
        let today = self.day_at(time);
        self.end_days_of_wallets(today);
        self.sweep();
        self.end_days_of_banks(today);
        self.time = time;
        self.height += 1;
        // What no command does has the last index there is.
        self.index = u32::MAX;
        self.closed_now.clear();
        self.movements.clear();
        let budget = self.policy().work;
        self.work_left = budget;
        self.expire_holds();
        self.work_left = budget;
        self.expire_programmes();
        self.close_due_proposals();
        self.work_left = budget;
        self.pay_programmes();
        self.hand_customers_over();
        self.index = 0;
    }

    /// When a proposal, a hold or a programme is next due without commands.
    pub fn next_due(&self) -> Option<u64> {
        let due = |proposal: &Proposal| {
            if self.approved(proposal) { proposal.proposal.effective_at.0 } else { proposal.proposal.expires_at.0 }
        };
        let proposals = self.proposals.iter().filter(|proposal| proposal.status == ProposalStatus::Open).map(due);
        let holds = self.holds.values().map(|hold| hold.expires_at);
        let programme = |number: &u64| self.programmes[*number as usize - 1].expires_at();
        let earmarks = self.wallets.values().flat_map(|wallet| wallet.earmarks.keys()).filter_map(programme);
        proposals.chain(holds).chain(earmarks).min()
    }

    // Commands.

    /// Settles or refuses one command.
    pub fn settle(&mut self, command: &Command) -> Outcome {
        let before = self.clone();
        let answer = self.try_settle(command);
        let outcome = answer.unwrap_or_else(|refusal| {
            // I6, by construction: back to what was, and only the numbers are used.
            *self = before;
            if refusal.reason.stage() == Stage::Applied {
                self.use_numbers(command);
            }
            refusal
        });
        self.index += 1;
        outcome
    }

    /// The signer of a command, and of what is signed inside it.
    fn signers(command: &Command) -> Vec<(Signer, Head)> {
        let mut signers = vec![(command.signer(), *command.head())];
        match command {
            Command::Issuance(signed) => {
                let request = &signed.record.request.record;
                signers.push((bank_signer(request.bank.0), request.head));
            }
            Command::ReverseWaterfall(signed) => {
                let transfer = &signed.record.transfer.record;
                signers.push((Signer::Holder(transfer.from), transfer.head));
            }
            _ => {}
        }
        signers
    }

    fn use_numbers(&mut self, command: &Command) {
        for (signer, head) in Model::signers(command) {
            let used = match signer {
                Signer::Holder(id) => &mut self.wallets.get_mut(&id).unwrap().used,
                Signer::Member(role, id) => &mut self.seats.get_mut(&(role, id.0)).unwrap().used,
            };
            assert!(used.insert(head.sequence), "I5: number {} of {signer:?} was used before", head.sequence);
        }
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
        for (signer, head) in Model::signers(command) {
            self.admit(signer, &head)?;
        }
        if let Command::ReverseWaterfall(signed) = command {
            let linked = self.wallets[&signed.record.transfer.record.from].linked_bank;
            if linked != signed.record.bank.0 {
                return no(Reason::NotLinked, linked.into(), signed.record.bank.0.into());
            }
        }
        if let Some((statement, consent)) = command.consented() {
            match self.seats.get(&(Role::Bank, statement.bank.0)) {
                Some(seat) if seat.active && seat.key_version == consent.bank_key_version => {}
                _ => return no(Reason::ConsentVoid, 0, 0),
            }
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
        if let (Signer::Member(Role::Bank, bank), false) =
            (command.signer(), matches!(command, Command::ReverseWaterfall(_)))
        {
            self.check_active(bank.0)?;
        }
        self.settle_admitted(command)
    }

    fn settle_admitted(&mut self, command: &Command) -> Answer {
        match command {
            Command::Payment(signed) => {
                let (from, to, amount) = (signed.record.from, signed.record.to, minor(signed.record.amount));
                match signed.record.kind {
                    PaymentKind::Transfer => {
                        self.transfer(Order { from, to, amount, max_fee: minor(signed.record.max_fee) })
                    }
                    PaymentKind::Fund => self.fund(from, to, amount),
                    PaymentKind::Defund => self.defund(from, to, amount),
                }
            }
            Command::ReverseWaterfall(signed) => self.reverse_waterfall(&signed.record),
            Command::Hold(signed) => self.place_hold(&signed.record),
            Command::Release(signed) => self.release_hold(&signed.record),
            Command::OpenWallet(signed) => self.open(&signed.record),
            Command::CloseWallet(signed) => self.close(signed.record.account),
            Command::ReplaceKey(signed) => self.replace_key(&signed.record),
            Command::LinkBank(signed) => self.link(&signed.record),
            Command::MoveWallet(signed) => self.move_wallet(&signed.record),
            Command::DesignateWallet(signed) => self.designate(signed.record.account),
            Command::Reclassify(signed) => self.reclassify(signed.record.holder, signed.record.class),
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
            Command::Operation(signed) => self.operate(&signed.record),
            Command::DepositStatement(signed) => {
                let deposits = minor(signed.record.deposits);
                let ended = if self.period_days > 0 { self.today() - self.period_start } else { 0 };
                let position = self.positions.get_mut(&signed.record.bank.0).unwrap();
                if !position.has_ever_reported {
                    position.reported = vec![deposits; ended as usize];
                }
                position.has_ever_reported = true;
                (position.deposits_reported, position.has_reported) = (deposits, true);
                position.highest_base = position.highest_base.max(deposits);
                done(0)
            }
            Command::Freeze(signed) => self.freeze(&signed.record),
            Command::Seize(signed) => self.seize(&signed.record),
            Command::Propose(signed) => self.propose(&signed.record),
            Command::Vote(signed) => self.vote(signed.record.proposal, signed.record.member.0, signed.record.choice),
        }
    }
}

fn bank_signer(bank: u16) -> Signer {
    Signer::Member(Role::Bank, cbdc_ledger::MemberId(bank))
}
