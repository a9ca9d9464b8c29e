//! The ledger against a plain model of its specification, over random histories of all commands.
//!
//! After every block: each outcome with its limit and amount, every account, holder, member, proposal, parameter and
//! book entry, the header, the invariants, the keys that verifiers see. proptest prints the seed and a shrunk history
//! when something disagrees.

use crate::model::history::{BlockPlan, Keyring, Resolver, beginning, block_plans};
use crate::model::network::{DAY_MS, amount, apply, batch_seed, genesis, proposal};
use crate::model::reference::{Model, Movement, Policy, UNSOUND_KEYS, Wallet, lowest_unused, minor};
use cbdc_ledger::bank_position::Loan;
use cbdc_ledger::block::{Cause, DepositDirection, Entry, Header, entries_of};
use cbdc_ledger::block_proposal::BlockProposalBuilder;
use cbdc_ledger::books::BookAccount;
use cbdc_ledger::checkpoint::{LedgerSnapshot, Loader};
use cbdc_ledger::command::Signer;
use cbdc_ledger::directory::KeyDirectory;
use cbdc_ledger::encoding::Writer;
use cbdc_ledger::genesis::opening_books;
use cbdc_ledger::member::Role;
use cbdc_ledger::outcome::{Reason, Stage};
use cbdc_ledger::sequence::SequenceStatus;
use cbdc_ledger::time::LedgerDay;
use cbdc_ledger::verification::{VerificationError, verify_batches};
use cbdc_ledger::{
    AccountId, Amount, BankId, Block, Command, FormatVersion, Genesis, Ledger, MemberId, Outcome, Timestamp,
    VerifiedBatch, VerifiedProposal,
};
use cbdc_signatures::Trust;
use proptest::prelude::*;

/// A ledger, its model, and what verifiers see.
struct Both {
    ledger: Ledger,
    model: Model,
    directory: KeyDirectory,
    earlier: Vec<Command>,
    told: Told,
}

impl Both {
    fn new(genesis: Genesis) -> Both {
        let model = Model::new(&genesis);
        let ledger = Ledger::new(genesis).unwrap();
        let directory = KeyDirectory::of(&ledger);
        Both { ledger, model, directory, earlier: Vec::new(), told: Told::default() }
    }

    /// Settles a block on the model, which decides what its commands are, then on the ledger, and compares.
    fn block(&mut self, plan: &BlockPlan, keys: &Keyring) -> (Vec<u8>, Block) {
        let before = self.model.clone();
        let time = self.model.time + plan.after_ms;
        self.model.begin_block(time);
        let nothing_fell_due = is_unchanged_but_for_time(&before, &self.model);
        let (mut commands, mut expected) = (Vec::new(), Vec::new());
        for command in &plan.commands {
            let resolver = Resolver { model: &self.model, keys, earlier: &self.earlier, signs_for: None };
            let command = resolver.resolve(command);
            expected.push(self.model.settle(&command));
            self.earlier.push(command.clone());
            commands.push(command);
        }
        let mut bytes = proposal(Timestamp(time), &commands);
        bytes[1] = u8::from(self.model.height.is_multiple_of(3));
        let untouched = (commands.len() == 1).then(|| View::of(&self.ledger));
        let limits_before = Holdings::of(&self.ledger);
        let block = self.ledger.apply(&VerifiedProposal::from_own_log(&bytes).unwrap());
        limits_before.check_limits_after(&self.ledger, &commands, &block);
        self.told.follow(&self.ledger, &commands, &block);
        self.directory.follow(&self.ledger, &block.changes);
        compare_outcomes(&commands, &block, &expected);
        compare(&mut self.ledger, &self.model, &block, &before);
        compare_directory(&self.directory, &self.model);
        if let Some(untouched) = untouched
            && !expected[0].is_settled()
            && nothing_fell_due
        {
            assert!(View::of(&self.ledger) == untouched, "I6: {} changed something: {:?}", expected[0], plan);
            let uses_number = expected[0].reason.stage() == Stage::Applied;
            assert!(uses_number || block.changes.accounts.is_empty(), "I6: {} used a number", expected[0]);
        }
        (bytes, block)
    }
}

/// What each holder holds over all wallets at all banks, summed up anew: no running sum of the ledger's, no rule of the
/// model's.
struct Holdings {
    holders: std::collections::BTreeMap<cbdc_ledger::HolderId, (cbdc_ledger::Class, i128)>,
    /// Holders whom a court's order concerns: what it froze stays on the wallet, and a waterfall cannot take it.
    frozen: std::collections::BTreeSet<cbdc_ledger::HolderId>,
    interest: u64,
    policy_version: u32,
}

impl Holdings {
    fn of(ledger: &Ledger) -> Holdings {
        let (mut holders, mut frozen) = (std::collections::BTreeMap::new(), std::collections::BTreeSet::new());
        for (id, wallet) in ledger.banks().flat_map(|bank| ledger.wallets_of(bank)) {
            let holder = ledger.holder_of(id).unwrap();
            holders.entry(holder.id).or_insert((holder.class, 0)).1 += wallet.own();
            if !wallet.frozen.is_zero() {
                frozen.insert(holder.id);
            }
        }
        let policy_version = ledger.policy().in_force().version;
        Holdings { holders, frozen, interest: ledger.supply().interest.minor(), policy_version }
    }

    /// Nobody is above their limit after the block who was not before, except for interest and what a court order paid.
    fn check_limits_after(&self, ledger: &Ledger, commands: &[Command], block: &Block) {
        let after = Holdings::of(ledger);
        if after.policy_version != self.policy_version {
            return;
        }
        let seized = |(command, outcome): (&Command, &Outcome)| match command {
            Command::Seize(_) if outcome.is_settled() => i128::from(outcome.amount),
            _ => 0,
        };
        let seized: i128 = commands.iter().zip(&block.outcomes).map(seized).sum();
        let exempt = i128::from(after.interest - self.interest) + seized;
        for (holder, (class, sum)) in &after.holders {
            let Some(limit) = ledger.parameters().class(*class).holding_limit else { continue };
            let before = self.holders.get(holder).map_or(0, |(_, sum)| *sum);
            let most = before.max(i128::from(limit.minor())) + exempt;
            let is_reclassified = self.holders.get(holder).is_some_and(|(before, _)| before != class);
            let is_exempt = is_reclassified || self.frozen.contains(holder) || after.frozen.contains(holder);
            assert!(is_exempt || *sum <= most, "{holder} holds {sum} above a limit of {limit}, before {before}");
        }
    }
}

/// The sums, by wallet, of the entries of all blocks since genesis.
#[derive(Default)]
struct Told {
    balances: std::collections::BTreeMap<AccountId, i128>,
    causes: std::collections::BTreeMap<Cause, i128>,
}

impl Told {
    /// Entries add up to the balances, no balance between two of them is below zero, and those of a cause add up to the
    /// supply term that counts it.
    fn follow(&mut self, ledger: &Ledger, commands: &[Command], block: &Block) {
        let of_commands = (0..).zip(commands.iter().zip(&block.outcomes));
        let of_commands = of_commands.flat_map(|(index, (command, outcome))| entries_of(command, index, outcome));
        let mut entries: Vec<Entry> = block.changes.entries.iter().copied().chain(of_commands).collect();
        assert!(block.changes.entries.is_sorted_by_key(Entry::ordinal));
        entries.sort_by_key(|entry| (entry.ordinal(), entry.cause));
        for entry in entries {
            let balance = self.balances.entry(entry.wallet).or_default();
            *balance += entry.change();
            assert!(*balance >= 0, "{entry:?} leaves {balance}");
            *self.causes.entry(entry.cause).or_default() += entry.change().abs();
        }
        for (id, wallet) in ledger.banks().flat_map(|bank| ledger.wallets_of(bank)) {
            let told = self.balances.get(&id).copied().unwrap_or_default();
            assert_eq!(told, wallet.posted(), "the entries of {id}");
        }
        let (sum, supply) = (|cause| self.causes.get(&cause).copied().unwrap_or_default(), ledger.supply());
        for (told, term) in [
            (sum(Cause::Interest), supply.interest),
            (sum(Cause::Demurrage), supply.demurrage),
            (sum(Cause::Waterfall), supply.waterfall),
            (sum(Cause::ReverseWaterfall), supply.reverse_waterfall),
            (sum(Cause::Grant), supply.unbacked),
            (sum(Cause::TargetedGrant), supply.targeted),
            (sum(Cause::Expired), supply.expired),
        ] {
            assert_eq!(told, i128::from(term.minor()));
        }
        for (one, other) in [
            (Cause::Captured, Cause::CaptureReceived),
            (Cause::Paid, Cause::Received),
            (Cause::Seized, Cause::SeizureReceived),
            (Cause::MovedOut, Cause::MovedIn),
        ] {
            assert_eq!(sum(one), sum(other), "{one:?} and {other:?}");
        }
    }
}

/// Whether what falls due at a block's beginning changed nothing, and no day ended.
fn is_unchanged_but_for_time(before: &Model, begun: &Model) -> bool {
    let mut at_the_same_time = Model { time: begun.time, height: begun.height, ..before.clone() };
    (at_the_same_time.index, at_the_same_time.work_left) = (begun.index, begun.work_left);
    at_the_same_time.closed_now.clear();
    at_the_same_time.movements.clear();
    before.today() == begun.today() && at_the_same_time == *begun
}

/// Everything that a refused command must not change: all but sequence numbers and the tip.
#[derive(PartialEq, Debug)]
struct View {
    accounts: Vec<(AccountId, cbdc_ledger::Account)>,
    holders: Vec<Option<cbdc_ledger::holder::Holder>>,
    books: cbdc_ledger::books::Books,
    supply: cbdc_ledger::SupplyTerms,
    policy: cbdc_ledger::policy::PolicyVersions,
    proposals: cbdc_ledger::governance::GovernanceProposals,
    holds: cbdc_ledger::hold::Holds,
    freezes: cbdc_ledger::freeze::Freezes,
    programmes: cbdc_ledger::programme::Programmes,
    positions: Vec<(BankId, cbdc_ledger::bank_position::BankPosition)>,
    period: (LedgerDay, u16),
    members: Vec<(cbdc_ledger::member::Member, u32, bool)>,
}

impl View {
    fn of(ledger: &Ledger) -> View {
        let mut accounts: Vec<_> =
            ledger.banks().flat_map(|bank| ledger.wallets_of(bank)).map(|(id, account)| (id, *account)).collect();
        accounts.extend(
            ledger.banks().map(|bank| (AccountId::treasury(bank), *ledger.account(AccountId::treasury(bank)).unwrap())),
        );
        let holders = accounts.iter().map(|(id, _)| ledger.holder_of(*id).copied()).collect();
        accounts.iter_mut().for_each(|(_, account)| account.window = Default::default());
        let seat = |seat: &cbdc_ledger::member::Seat| (seat.member.clone(), seat.key_version, seat.active);
        View {
            accounts,
            holders,
            books: ledger.books().clone(),
            supply: *ledger.supply(),
            policy: ledger.policy().clone(),
            proposals: ledger.proposals().clone(),
            holds: ledger.holds().clone(),
            freezes: ledger.freezes().clone(),
            programmes: ledger.programmes().clone(),
            positions: ledger.positions().banks().map(|(bank, position)| (bank, position.clone())).collect(),
            period: ledger.positions().maintenance_period(),
            members: ledger.members().seats().map(seat).collect(),
        }
    }
}

fn compare_outcomes(commands: &[Command], block: &Block, expected: &[Outcome]) {
    for (index, command) in commands.iter().enumerate() {
        assert_eq!(
            block.outcomes[index], expected[index],
            "command {index} of block {}: {command:?}",
            block.header.height
        );
    }
    assert_eq!((block.outcomes.len(), block.leaves.len()), (commands.len(), commands.len()));
}

/// Every fact of the ledger against the model's.
fn compare(ledger: &mut Ledger, model: &Model, block: &Block, before: &Model) {
    ledger.check_invariants().unwrap();
    compare_accounts(ledger, model, block, before);
    compare_holders(ledger, model);
    compare_books(ledger, model);
    compare_positions(ledger, model);
    compare_holds(ledger, model);
    compare_programmes(ledger, model);
    compare_movements(block, model);
    compare_members(ledger, model);
    compare_policy(ledger, model);
    compare_next_due(ledger, model);
    let Header { height, time, cbdc, policy_version, supply, command_count, books_digest, .. } = block.header;
    assert_eq!((height.0, time.0), (model.height, model.time));
    assert_eq!(i128::from(cbdc.minor()), model.supply());
    assert_eq!(policy_version as usize, model.policies.len());
    assert_eq!(supply, *ledger.supply());
    // The digest covers the positions, too.
    assert_ne!(books_digest, ledger.books().digest());
    assert_eq!(
        (command_count as usize, block.changes.proposals_closed.clone()),
        (block.outcomes.len(), model.closed_now.clone())
    );
    assert_eq!((*ledger.tip(), ledger.tip_hash()), (block.header, block.header.hash()));
}

fn compare_accounts(ledger: &Ledger, model: &Model, block: &Block, before: &Model) {
    assert_eq!(ledger.wallet_count(), model.wallets.len());
    for (id, expected) in &model.wallets {
        let wallet = ledger.account(*id).unwrap();
        let money = [wallet.available, wallet.held, wallet.locked, wallet.earmarked, wallet.frozen, wallet.claim];
        let (held, earmarked) = (model.held(*id), model.earmarked(*id));
        let in_model = [expected.available, held, 0, earmarked, expected.frozen, expected.claim];
        assert_eq!(money.map(minor), in_model, "available, held, locked, earmarked, frozen, claim of {id}");
        let found = (wallet.open, wallet.key_version, wallet.linked_bank.0, wallet.has_allowance);
        assert_eq!(found, (expected.open, expected.key_version, expected.linked_bank, expected.allowance), "{id}");
        assert_eq!((minor(wallet.spendable()), wallet.own()), (model.spendable(*id), model.own(*id)), "{id}");
        // The sweep has posted every wallet, so that the days since then are all that the record may lack.
        let today = ledger.account_today(*id).unwrap();
        assert_eq!(wallet.moved_to(), expected.moved_to, "{id}");
        assert_eq!(
            ledger.freezes().of_wallet(*id).map(|(court, part)| (court.0, minor(part))).collect::<Vec<_>>(),
            expected.frozen_by.clone().into_iter().collect::<Vec<_>>(),
            "frozen of {id} by court"
        );
        if expected.moved_to.is_none() {
            assert_eq!(today.accrued, expected.accrued, "accrued of {id}");
        }
        let same = cbdc_ledger::Account { accrued: wallet.accrued, accrued_to: wallet.accrued_to, ..today };
        assert_eq!(same, *wallet, "{id} today");
        assert_eq!((ledger.key(*id), ledger.holder_of(*id).unwrap().id), (Some(expected.key), expected.holder));
        if expected.moved_to.is_none() {
            assert_eq!(ledger.wallet_by_key(id.bank, expected.key), Some(*id));
        }
        let lowest = lowest_unused(&expected.used);
        assert_eq!(wallet.window.lowest_unused(), lowest, "{id}");
        for number in (1..=lowest + 65).rev().take(70) {
            let standing = match number {
                used if used < lowest || expected.used.contains(&used) => SequenceStatus::Used,
                far if far >= lowest + 64 => SequenceStatus::OutOfWindow,
                _ => SequenceStatus::Free,
            };
            assert_eq!(wallet.window.status(number), standing, "{id} number {number}");
        }
        // What accrues in a day enters no record.
        let recorded = |wallet: &Wallet| Wallet { accrued: 0, ..wallet.clone() };
        let changed = before.wallets.get(id).map(recorded) != Some(recorded(expected));
        assert!(!changed || block.changes.accounts.contains(id), "{id} changed and is not in the effects");
        let key_of = |model: &Model| model.wallets.get(id).map(|wallet| (wallet.key, wallet.open));
        if key_of(before) != key_of(model) {
            let last = block.changes.keys.iter().rfind(|change| change.account == *id).unwrap();
            assert_eq!((last.key, last.version), (expected.open.then_some(expected.key), expected.key_version));
        }
    }
    for (bank, expected) in &model.treasuries {
        let treasury = AccountId::treasury(BankId(*bank));
        let found = ledger.account(treasury).unwrap();
        assert_eq!((minor(found.available), found.posted()), (*expected, *expected), "treasury of {bank}");
        let changed = before.treasuries.get(bank).unwrap_or(&0) != expected;
        assert!(!changed || block.changes.accounts.contains(&treasury));
    }
    assert!(block.changes.accounts.is_sorted());
}

fn compare_holders(ledger: &Ledger, model: &Model) {
    assert_eq!(ledger.holder_count(), model.classes.len());
    for (id, class) in &model.classes {
        let holder = ledger.holder(*id).unwrap();
        let today = ledger.tip().time.ledger_day(ledger.genesis().day_offset_minutes);
        assert_eq!((i128::from(today.0), holder.class), (model.today(), *class));
        assert_eq!(i128::from(holder.posted.minor()), model.holdings(*id), "holdings of {id}");
        let capped = |paid: i128| paid.min(i128::from(u64::MAX));
        assert_eq!(minor(holder.paid_on(today)), capped(model.paid_today(*id)), "payments of {id} today");
        let this_month = minor(holder.paid_in(today.month()));
        assert_eq!(this_month, capped(model.paid_this_month(*id)), "payments of {id} this month");
        assert_eq!(holder.allowance(), model.allowance_of(*id), "allowance of {id}");
        assert_eq!(minor(holder.claim), model.claim_of(*id), "claim on {id}");
        let open = model.wallets.values().filter(|wallet| wallet.open && wallet.holder == *id).count();
        assert_eq!(holder.wallets as usize, open);
    }
}

fn compare_books(ledger: &Ledger, model: &Model) {
    let books = ledger.books();
    for account in books.accounts().into_iter().chain([BookAccount::Equity]) {
        assert_eq!(books.balance(account), model.balance(account), "{account:?}");
    }
    assert_eq!(minor(books.securities_nominal()), model.securities_nominal);
    for bank in model.treasuries.keys() {
        assert_eq!(books.balance(BookAccount::Reserves(BankId(*bank))), model.reserves_of(*bank), "reserves of {bank}");
        let issued = model.issued_today(*bank).min(i128::from(u64::MAX));
        assert_eq!(minor(ledger.issued_today(BankId(*bank))), issued, "issued to {bank} today");
    }
    let terms = &model.terms;
    let expected = [
        ("issued", terms.issued),
        ("redeemed", terms.redeemed),
        ("reverse_waterfall", terms.reverse_waterfall),
        ("waterfall", terms.waterfall),
        ("interest", terms.interest),
        ("demurrage", terms.demurrage),
        ("fees", terms.fees),
        ("unbacked", terms.unbacked),
        ("targeted", terms.targeted),
        ("expired", terms.expired),
        ("offline_loaded", 0),
        ("offline_unloaded", 0),
    ];
    assert_eq!(ledger.supply().named().map(|(name, term)| (name, minor(term))), expected);
}

fn compare_positions(ledger: &Ledger, model: &Model) {
    let (start, days) = ledger.positions().maintenance_period();
    assert_eq!((i128::from(start.0), i128::from(days)), (model.period_start, model.period_days), "maintenance period");
    assert_eq!(ledger.positions().banks().count(), model.positions.len());
    for (bank, found) in ledger.positions().banks() {
        let expected = &model.positions[&bank.0];
        assert_eq!(found.status, expected.status, "{bank:?}");
        assert_eq!(
            [found.collateral, found.deposits_reported, found.requirement_base].map(minor),
            [expected.collateral, expected.deposits_reported, expected.requirement_base],
            "collateral, deposits, base of {bank:?}"
        );
        let sum = found.day_end_sum as i128;
        assert_eq!(
            [sum, found.accrued_on_reserves, found.accrued_on_deposit],
            [expected.day_end_sum, expected.accrued_on_reserves, expected.accrued_on_deposit],
            "sum, accrued on reserves and deposit of {bank:?}"
        );
        let loan = |loan: &Loan| {
            let rate = loan.rate.map(|rate| i128::from(rate.0));
            (minor(loan.principal), rate, i128::from(loan.matures.0), loan.overdue, loan.accrued)
        };
        let found: Vec<_> = found.loans.iter().map(loan).collect();
        let loans = expected.loans.iter();
        let expected: Vec<_> =
            loans.map(|loan| (loan.principal, loan.rate, loan.matures, loan.overdue, loan.accrued)).collect();
        assert_eq!(found, expected, "loans of {bank:?}: principal, rate, maturity, overdue, accrued");
    }
}

fn compare_holds(ledger: &Ledger, model: &Model) {
    assert_eq!(ledger.holds().open().count(), model.holds.len());
    for (number, expected) in &model.holds {
        let found = ledger.holds().get(*number).unwrap_or_else(|| panic!("hold {number} is missing"));
        assert_eq!(
            (found.payer, found.payee, found.expires_at.0),
            (expected.payer, expected.payee, expected.expires_at)
        );
        assert_eq!(
            [found.maximum, found.max_fee, found.held].map(minor),
            [expected.maximum, expected.max_fee, expected.held],
            "maximum, fee, held of hold {number}"
        );
        let earmarks: Vec<_> = found.earmarks.iter().map(|(number, amount)| (*number, minor(*amount))).collect();
        assert_eq!(earmarks, expected.earmarks, "earmarks of hold {number}");
    }
    for payer in model.wallets.keys() {
        let open = model.holds.values().filter(|hold| hold.payer == *payer).count();
        assert_eq!(ledger.holds().count_of(*payer), open, "holds of {payer}");
    }
}

fn compare_programmes(ledger: &Ledger, model: &Model) {
    assert_eq!(ledger.programmes().all().len(), model.programmes.len());
    for (at, (found, expected)) in ledger.programmes().all().iter().zip(&model.programmes).enumerate() {
        assert_eq!(found.grant, expected.grant);
        let holders = [found.next_holder, found.end, found.paid, found.refused].map(i128::from);
        let (next, end) = (expected.next_holder as i128, expected.end as i128);
        let in_model = [next, end, expected.paid, expected.refused];
        assert_eq!(holders, in_model, "next, end, paid, refused of programme {}", at + 1);
        assert_eq!(minor(found.expired), expected.expired, "expired of programme {}", at + 1);
    }
    for (id, expected) in &model.wallets {
        let mark =
            |(number, mark): (u64, cbdc_ledger::programme::Earmark)| (number, minor(mark.amount), minor(mark.held));
        let found: Vec<_> = ledger.programmes().earmarks_of(*id).map(mark).collect();
        let expected = expected.earmarks.iter();
        let expected: Vec<_> =
            expected.map(|(number, amount)| (*number, *amount, model.earmark_held(*id, *number))).collect();
        assert_eq!(found, expected, "earmarks of {id}: programme, amount, held");
    }
}

fn compare_movements(block: &Block, model: &Model) {
    let movement = |found: &cbdc_ledger::block::DepositMovement| Movement {
        index: found.index,
        bank: found.bank.0,
        wallet: found.wallet,
        amount: minor(found.amount),
        to_deposit: found.direction == DepositDirection::ToDeposit,
    };
    assert_eq!(block.changes.deposits.iter().map(movement).collect::<Vec<_>>(), model.movements);
}

fn compare_members(ledger: &Ledger, model: &Model) {
    let members = ledger.members();
    assert_eq!((usize::from(members.threshold()), members.seats().count()), (model.threshold, model.seats.len()));
    for ((role, id), expected) in &model.seats {
        let seat = members.seat(*role, MemberId(*id)).unwrap();
        assert_eq!((seat.active, seat.key_version), (expected.active, expected.key_version), "{role} {id}");
        assert_eq!((seat.member.signing_key, seat.member.node_key), (expected.key, expected.node_key));
        assert_eq!(seat.window.lowest_unused(), lowest_unused(&expected.used), "{role} {id}");
        assert!(expected.used.iter().all(|number| seat.window.status(*number) == SequenceStatus::Used));
    }
}

fn compare_policy(ledger: &Ledger, model: &Model) {
    assert_eq!(Policy::of(ledger.parameters()), *model.policy());
    assert_eq!(ledger.proposals().all().count(), model.proposals.len());
    for (found, expected) in ledger.proposals().all().zip(&model.proposals) {
        assert_eq!(
            (found.status, found.closed_at.0, &found.proposal),
            (expected.status, expected.closed_at, &expected.proposal)
        );
        let ballots = found.ballots.iter().map(|(seat, approve)| (seat.0, *approve)).collect();
        assert_eq!(expected.ballots, ballots);
        assert_eq!(ledger.approved(found.number), model.approved(expected));
    }
}

/// The ledger may ask for a block earlier than proposals, holds and programmes need one, since days and interest fall
/// due, too. But before the time that it names, an empty block must change nothing.
fn compare_next_due(ledger: &mut Ledger, model: &Model) {
    let due = ledger.next_due().map(|due| due.0);
    if let Some(latest) = model.next_due() {
        assert!(due.is_some_and(|due| due <= latest), "due at {due:?}, something falls due at {latest}");
    }
    let time_before = due.unwrap_or(model.time + 400 * DAY_MS) - 1;
    if time_before <= model.time || !model.height.is_multiple_of(4) {
        return;
    }
    let mut idle = load(&ledger.snapshot());
    let block = apply(&mut idle, Timestamp(time_before), &[]);
    let mut views = [View::of(ledger), View::of(&idle)];
    for view in &mut views {
        // Days that end without interest may still enter the average of a maintenance period.
        view.positions.iter_mut().for_each(|(_, position)| position.day_end_sum = 0);
    }
    assert!(views[0] == views[1], "an empty block at {time_before} changed something, {due:?} was due");
    assert!(block.changes.accounts.is_empty() && block.changes.proposals_closed.is_empty());
}

/// Verifiers find exactly the keys of open wallets and active members, in their present version.
fn compare_directory(directory: &KeyDirectory, model: &Model) {
    let keys = directory.snapshot();
    for (id, wallet) in &model.wallets {
        let found = keys.find(Signer::Holder(*id), wallet.key_version).map(|key| key.public_key());
        let unknown = Outcome::refused(Reason::UnknownAccount, 0, 0);
        assert_eq!(found, if wallet.open { Ok(wallet.key) } else { Err(unknown) }, "{id}");
    }
    for ((role, id), seat) in &model.seats {
        let found = keys.find(Signer::Member(*role, MemberId(*id)), seat.key_version).map(|key| key.public_key());
        let unknown = Outcome::refused(Reason::UnknownMember, 0, 0);
        assert_eq!(found, if seat.active { Ok(seat.key) } else { Err(unknown) }, "{role} {id}");
    }
}

fn load(frozen: &LedgerSnapshot) -> Ledger {
    let mut chunks = Vec::new();
    let keep = |chunk| {
        chunks.push(chunk);
        Ok::<_, ()>(())
    };
    let root = frozen.write(keep).unwrap();
    let mut loader = Loader::default();
    chunks.iter().for_each(|chunk| loader.chunk(chunk).unwrap());
    loader.finish(root).unwrap()
}

fn history(genesis: Genesis, plans: &[BlockPlan], checkpoint_at: usize) {
    let (mut both, keys) = (Both::new(genesis), Keyring::default());
    let mut frozen = None;
    let mut since = Vec::new();
    for (height, plan) in beginning().iter().chain(plans).enumerate() {
        if height == checkpoint_at {
            frozen = Some(both.ledger.snapshot());
        }
        let (bytes, block) = both.block(plan, &keys);
        if frozen.is_some() {
            since.push((bytes, block));
        }
    }
    // The checkpoint is written only now: later blocks must not have changed the snapshot.
    if let Some(frozen) = frozen {
        let mut loaded = load(&frozen);
        for (bytes, block) in &since {
            assert_eq!(loaded.apply(&VerifiedProposal::from_own_log(bytes).unwrap()), *block);
        }
        assert_eq!(loaded.tip_hash(), both.ledger.tip_hash());
        assert!(View::of(&loaded) == View::of(&both.ledger) && loaded.members() == both.ledger.members());
    }
}

/// How a command is spoilt before it is verified.
fn spoilt(command: &Command, how: u8, another: &Command) -> Command {
    let mut bytes = command.to_bytes();
    let signature_at = bytes.len() - 64;
    match how {
        // A bit of the signature, or of what it signs (the sequence number, which any value may have).
        0 => bytes[signature_at] ^= 1,
        1 => bytes[8] ^= 1,
        // Another command's signature.
        2 => bytes[signature_at..].copy_from_slice(&another.signature().0),
        // Inside the record: of the registrar's certificate or the bank's request, where it has one.
        _ => bytes[signature_at.saturating_sub(64).max(8)] ^= 1,
    }
    Command::from_bytes(&bytes).unwrap_or_else(|_| spoilt(command, 0, another))
}

/// Whether verifiers can know all keys that a command needs, from the state before its block.
fn keys_are_known(model: &Model, command: &Command) -> bool {
    let member = |role: Role, id: u16, version: u32| {
        model.seats.get(&(role, id)).is_some_and(|seat| seat.active && seat.key_version == version)
    };
    let version = command.head().key_version;
    let signer = match command.signer() {
        Signer::Holder(id) => model.open_wallet(id).is_some_and(|wallet| wallet.key_version == version),
        Signer::Member(role, id) => member(role, id.0, version),
    };
    let others = match command {
        Command::OpenWallet(signed) => {
            let certificate = &signed.record.certificate;
            member(Role::Registrar, certificate.registrar.0, certificate.registrar_key_version)
        }
        Command::ReplaceKey(signed) => {
            let certificate = &signed.record.certificate;
            model.wallets.contains_key(&signed.record.account)
                && member(Role::Registrar, certificate.registrar.0, certificate.registrar_key_version)
        }
        Command::Issuance(signed) => {
            let request = &signed.record.request.record;
            member(Role::Bank, request.bank.0, request.head.key_version)
        }
        Command::LinkBank(_) | Command::MoveWallet(_) => command
            .consented()
            .is_none_or(|(statement, consent)| member(Role::Bank, statement.bank.0, consent.bank_key_version)),
        Command::ReverseWaterfall(signed) => {
            let payer = &signed.record.transfer.record;
            model.open_wallet(payer.from).is_some_and(|wallet| wallet.key_version == payer.head.key_version)
        }
        _ => true,
    };
    signer && others
}

/// Whether nobody can agree to a command with the key that it brings.
fn brings_unsound_key(command: &Command) -> bool {
    match command {
        Command::OpenWallet(signed) => UNSOUND_KEYS.contains(&signed.record.key),
        Command::ReplaceKey(signed) => UNSOUND_KEYS.contains(&signed.record.key),
        _ => false,
    }
}

/// One block of signed commands: some spoilt, some ordered one block after they were verified. Returns the latter.
fn signed_block(both: &mut Both, plan: &BlockPlan, keys: &Keyring, late: Vec<VerifiedBatch>) -> Vec<VerifiedBatch> {
    let network = both.ledger.network();
    // Signers see the state before the block and their own commands.
    let mut seen = both.model.clone();
    let mut offered: Vec<(Command, bool, bool, bool)> = Vec::new();
    for command in &plan.commands {
        let resolver = Resolver { model: &seen, keys, earlier: &both.earlier, signs_for: Some(network) };
        let honest = resolver.resolve(command);
        // Repeated later, a command may meet an account that another command than the one it was signed after opened;
        // and one that names another version of its key may name the one that is still in force.
        let may_be_stale = both.earlier.contains(&honest) || command.key_version != 0;
        seen.settle(&honest);
        both.earlier.push(honest.clone());
        let spoil = command.c % 5 == 0;
        let another = both.earlier[both.earlier.len() / 2].clone();
        let offer = if spoil { spoilt(&honest, command.c / 5 % 4, &another) } else { honest.clone() };
        let spoil = offer != honest;
        offered.push((offer, spoil, may_be_stale, command.c % 5 == 1));
    }
    let trust = |at: usize| if at.is_multiple_of(3) { Trust::Suspect } else { Trust::Clean };
    let batches = (0..).zip(&offered).map(|(at, (command, ..))| (command.clone().into(), trust(at))).collect();
    let verdicts = verify_batches(network, &both.directory, batches, batch_seed());
    let (mut ordered, mut held_back) = (late, Vec::new());
    for ((command, spoilt, may_be_stale, late), (verified, refused)) in offered.iter().zip(verdicts) {
        match (refused.first().map_or(Ok(verified), |(_, refusal)| Err(*refusal)), spoilt) {
            (Ok(verified), false) => {
                if *late {
                    held_back.push(verified)
                } else {
                    ordered.push(verified)
                }
            }
            (Ok(_), true) => panic!("a spoilt command passed: {command:?}"),
            (Err(refusal), _) => {
                let unknown = !keys_are_known(&both.model, command);
                let expected = if unknown {
                    [Reason::UnknownAccount, Reason::UnknownMember, Reason::KeyChanged].contains(&refusal.reason)
                } else {
                    (*spoilt || *may_be_stale || brings_unsound_key(command)) && refusal.reason == Reason::BadSignature
                };
                assert!(expected, "{refusal} for {command:?}");
                assert_forgery_is_found(both, command);
            }
        }
    }
    order(both, plan.after_ms, &ordered);
    held_back
}

/// Nobody can pass off a block with an unverifiable command that had effect.
fn assert_forgery_is_found(both: &Both, command: &Command) {
    let bytes = proposal(both.ledger.tip().time, std::slice::from_ref(command));
    let claimed = [Outcome::settled()];
    let found = VerifiedProposal::check(&bytes, &claimed, both.ledger.network(), &both.directory, batch_seed());
    assert!(matches!(found, Err(VerificationError::Signature { index: 0, .. })), "{found:?}");
}

/// Orders verified commands; the block must pass an audit with the keys in force before it.
fn order(both: &mut Both, after_ms: u64, ordered: &[VerifiedBatch]) {
    let before = both.model.clone();
    let time = both.model.time + after_ms;
    let commands: Vec<Command> = ordered.iter().flat_map(|verified| verified.commands()).cloned().collect();
    both.model.begin_block(time);
    let expected: Vec<Outcome> = commands.iter().map(|command| both.model.settle(command)).collect();
    let mut builder = BlockProposalBuilder::default();
    ordered.iter().for_each(|verified| builder.push(verified.clone()));
    let made = builder.finish(Timestamp(time));
    let bytes = made.bytes();
    assert_eq!(VerifiedProposal::from_built(&made), VerifiedProposal::from_own_log(bytes).unwrap());
    let copy = Vec::from(&bytes[..]);
    assert!(made.is_of(&copy) && !made.is_of(&copy[1..]));
    let block = both.ledger.apply(&VerifiedProposal::from_built(&made));
    compare_outcomes(&commands, &block, &expected);
    compare(&mut both.ledger, &both.model, &block, &before);
    VerifiedProposal::check(bytes, &block.outcomes, both.ledger.network(), &both.directory, batch_seed())
        .expect("an honest block passes an audit, whatever became of its commands");
    both.directory.follow(&both.ledger, &block.changes);
    compare_directory(&both.directory, &both.model);
    let mut encoded = Writer::default();
    block.outcomes.iter().for_each(|outcome| outcome.encode(&mut encoded));
    assert_eq!(encoded.finish().len(), 24 * commands.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 320, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ledger_and_model_agree_on_any_history(
        plans in prop::collection::vec(block_plans(10), 1..48),
        checkpoint_at in 0usize..48,
        format in prop::sample::select(vec![FormatVersion::One, FormatVersion::Two]),
        offset in prop_oneof![Just(0i16), Just(60), Just(-720), Just(840)],
    ) {
        history(Genesis { day_offset_minutes: offset, format, ..genesis() }, &plans, checkpoint_at);
    }

    /// The same with reserves near the end of the range, where sums overflow; without interest on wallets, since which
    /// of them would still get theirs depends on who is posted first.
    #[test]
    fn ledger_and_model_agree_where_sums_reach_the_end_of_the_range(
        plans in prop::collection::vec(block_plans(10), 1..32),
        shares in prop::sample::select(vec![[0, 0, u64::MAX - 6_000], [u64::MAX / 2 - 3_000; 3], [u64::MAX / 4; 3]]),
    ) {
        let reserves = [1, 2, 3].map(BankId).into_iter().zip(shares.map(amount));
        let Some(books) = opening_books(reserves, Amount::ZERO, Amount::ZERO) else { return Ok(()) };
        let plans: Vec<BlockPlan> = plans.into_iter().map(BlockPlan::without_interest_on_wallets).collect();
        history(Genesis { books, format: FormatVersion::Two, ..genesis() }, &plans, 5);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn only_commands_with_the_right_signatures_are_ordered_and_every_honest_block_passes_an_audit(
        plans in prop::collection::vec(block_plans(8), 1..16),
    ) {
        let (mut both, keys) = (Both::new(genesis()), Keyring::default());
        let mut late = Vec::new();
        for plan in beginning().iter().chain(&plans) {
            late = signed_block(&mut both, plan, &keys, late);
        }
    }
}

/// Refusals of `apply` before a number is used; the other reasons of that stage are given by verifiers and services.
const REFUSED_AT_ADMISSION: [Reason; 6] = [
    Reason::UnknownAccount,
    Reason::UnknownMember,
    Reason::UnknownRegistrar,
    Reason::KeyChanged,
    Reason::SequenceUsed,
    Reason::SequenceOutOfWindow,
];

/// Rules that need more proposals or holds than a history has, a wallet that is emptied first, or a bank that is
/// resolved with money left. They have tests of their own.
const NOT_OF_HISTORIES: [Reason; 4] =
    [Reason::TooManyProposals, Reason::TooManyHolds, Reason::DesignatedWallet, Reason::RecoverableFirst];

/// A canary: the properties above prove little about a rule that their histories never meet. (The model alone tells,
/// since the ledger agrees with it.)
#[test]
fn random_histories_meet_every_reason() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let (mut runner, keys) = (TestRunner::deterministic(), Keyring::default());
    let is_met = |reason: &Reason| {
        let given_by_apply = reason.stage() != Stage::BeforeOrdering || REFUSED_AT_ADMISSION.contains(reason);
        given_by_apply && !NOT_OF_HISTORIES.contains(reason)
    };
    let mut missing: Vec<Reason> = Reason::ALL.iter().copied().filter(is_met).collect();
    for _ in 0..96 {
        let (mut model, mut earlier) = (Model::new(&genesis()), Vec::new());
        let plans = prop::collection::vec(block_plans(10), 40).new_tree(&mut runner).unwrap().current();
        for plan in beginning().iter().chain(&plans) {
            model.begin_block(model.time + plan.after_ms);
            for command in &plan.commands {
                let resolver = Resolver { model: &model, keys: &keys, earlier: &earlier, signs_for: None };
                let command = resolver.resolve(command);
                let outcome = model.settle(&command);
                missing.retain(|reason| *reason != outcome.reason);
                earlier.push(command);
            }
        }
    }
    assert_eq!(missing, []);
}
