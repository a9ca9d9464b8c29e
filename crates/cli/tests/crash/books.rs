//! The test's own books of every holder's wallet and deposits, kept from the outcomes of blocks alone.
//!
//! Nothing of the nodes' bookkeeping is used: a block's commands and outcomes state what each payment moved, what a
//! waterfall takes follows from the holding limit, and its bank from the holder's link. The banks must show exactly
//! these amounts.

use std::collections::BTreeMap;

use cbdc_client::{AccountId, BankId, BlockPosition, Chain, Height};
use cbdc_ledger::command::{Payment, PaymentKind, Signed};
use cbdc_ledger::outcome::Stage;
use cbdc_ledger::{Command, Outcome};

use crate::holders::{HOLDING_LIMIT, Holder};

/// A holder's payment or funding, as the chain has it.
#[derive(Clone, Debug)]
pub struct Ordered {
    pub position: BlockPosition,
    pub payment: Signed<Payment>,
    pub outcome: Outcome,
}

/// The number of settled payments by kind, so that a test that moved nothing fails.
#[derive(Default, Debug)]
pub struct Moved {
    pub payments: u64,
    pub waterfalls: u64,
    /// Those onto a deposit at another bank than the wallet's.
    pub waterfalls_across: u64,
    pub top_ups: u64,
    /// Those from a deposit at another bank than the wallet's.
    pub top_ups_across: u64,
    /// Top-ups that the ledger refused: the reserved deposit must be returned.
    pub top_ups_refused: u64,
    pub fundings: u64,
}

pub struct Books {
    linked: BTreeMap<AccountId, BankId>,
    pub wallets: BTreeMap<AccountId, u64>,
    pub deposits: BTreeMap<(BankId, AccountId), u64>,
    /// By payer and sequence number; each is used once.
    pub payments: BTreeMap<(AccountId, u64), Ordered>,
    /// By request id: each settles once.
    pub fundings: BTreeMap<[u8; 16], Ordered>,
    pub moved: Moved,
    pub tip: Height,
}

/// Takes money from a balance that must suffice.
fn take(from: &mut u64, amount: u64, whose: &str, ordered: &Ordered) {
    *from = from.checked_sub(amount).unwrap_or_else(|| panic!("{whose}: {from} less {amount}, by {ordered:?}"));
}

impl Books {
    /// Books of holders with nothing but the credits to their deposits.
    pub fn open(holders: &[Holder]) -> Books {
        let credited = |holder: &Holder| ((holder.deposit_at, holder.account()), holder.credited);
        let linked = |holder: &Holder| (holder.account(), holder.deposit_at);
        Books {
            linked: holders.iter().filter(|holder| holder.is_linked).map(linked).collect(),
            wallets: holders.iter().map(|holder| (holder.account(), 0)).collect(),
            deposits: holders.iter().map(credited).collect(),
            payments: BTreeMap::new(),
            fundings: BTreeMap::new(),
            moved: Moved::default(),
            tip: Height(0),
        }
    }

    /// Reads the chain on to its newest block.
    pub async fn follow(&mut self, chain: &Chain) {
        let newest = chain.header(None).await.unwrap().header.height;
        let mut blocks = chain.follow(self.tip.next()).await.unwrap();
        while self.tip < newest {
            let block = blocks.next().await.unwrap().expect("the chain reaches its newest block");
            self.tip = block.height();
            for (index, (command, outcome)) in block.commands().iter().zip(&block.outcomes).enumerate() {
                if outcome.reason.stage() != Stage::BeforeOrdering {
                    self.command(command, BlockPosition { height: self.tip, index: index as u32 }, *outcome);
                }
            }
        }
    }

    fn command(&mut self, command: &Command, position: BlockPosition, outcome: Outcome) {
        let (payment, topped_up_by) = match command {
            Command::Payment(payment) => (*payment, None),
            Command::ReverseWaterfall(order) => (order.record.transfer, Some(order.record.bank)),
            _ => return,
        };
        let ordered = Ordered { position, payment, outcome };
        let record = payment.record;
        if outcome.is_settled() {
            self.settle(&ordered, topped_up_by);
        }
        self.moved.top_ups_refused += u64::from(topped_up_by.is_some() && !outcome.is_settled());
        let earlier = match record.kind {
            // A refused funding may be tried again under its request id.
            PaymentKind::Fund if !outcome.is_settled() => None,
            PaymentKind::Fund => self.fundings.insert(record.reference, ordered.clone()),
            _ => self.payments.insert((record.from, record.head.sequence), ordered.clone()),
        };
        assert!(earlier.is_none(), "ordered twice: {earlier:?} and {ordered:?}");
    }

    fn settle(&mut self, ordered: &Ordered, topped_up_by: Option<BankId>) {
        let Payment { kind, from, to, amount, .. } = ordered.payment.record;
        // A settled payment's outcome states what came from the payer's deposit.
        let (amount, top_up) = (amount.minor(), ordered.outcome.charges().reverse_waterfall.minor());
        match kind {
            PaymentKind::Transfer => {
                self.moved.payments += 1;
                take(self.wallet(from), amount - top_up, "a wallet", ordered);
            }
            PaymentKind::Defund => {
                take(self.wallet(from), amount, "a wallet", ordered);
                *self.deposit(from.bank, from) += amount;
                return;
            }
            PaymentKind::Fund => {
                self.moved.fundings += 1;
                take(self.deposit(to.bank, to), amount, "a deposit", ordered);
            }
        }
        // A holder has one wallet, and nobody was ever above the limit.
        let waterfall = (*self.wallet(to) + amount).saturating_sub(HOLDING_LIMIT).min(amount);
        *self.wallet(to) += amount - waterfall;
        if waterfall > 0 {
            let bank = self.linked[&to];
            *self.deposit(bank, to) += waterfall;
            self.moved.waterfalls += 1;
            self.moved.waterfalls_across += u64::from(bank != to.bank);
        }
        if top_up > 0 {
            let bank = topped_up_by.expect("only a bank that signed for it adds money");
            assert_eq!(bank, self.linked[&from], "topped up by a bank that the payer is not linked to: {ordered:?}");
            take(self.deposit(bank, from), top_up, "a deposit", ordered);
            self.moved.top_ups += 1;
            self.moved.top_ups_across += u64::from(bank != from.bank);
        }
    }

    fn wallet(&mut self, account: AccountId) -> &mut u64 {
        self.wallets.get_mut(&account).unwrap_or_else(|| panic!("{account} is no wallet of this test"))
    }

    fn deposit(&mut self, bank: BankId, account: AccountId) -> &mut u64 {
        self.deposits.entry((bank, account)).or_default()
    }

    /// All money of all holders.
    pub fn total(&self) -> u64 {
        self.wallets.values().sum::<u64>() + self.deposits.values().sum::<u64>()
    }
}
