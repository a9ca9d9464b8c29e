//! The index against plain lists.

use std::collections::BTreeMap;

use cbdc_ledger::block::Cause;
use cbdc_ledger::command::{Head, PaymentKind};
use cbdc_ledger::{Amount, Reason};
use cbdc_node::archive::ProposalsByHeight;
use cbdc_storage::{Durability, MemoryStore};
use proptest::prelude::*;

use super::*;

const OWN: BankId = BankId(1);

fn wallet(number: u8) -> AccountId {
    AccountId::new(if number < 4 { OWN } else { BankId(2) }, u32::from(number) + 1)
}

fn payment(from: AccountId, to: AccountId, sequence: u64) -> Command {
    let head = Head { sequence, ..Head::default() };
    let (amount, max_fee) = (Amount::from_minor(1), Amount::ZERO);
    let record = Payment { kind: PaymentKind::Transfer, head, from, to, amount, max_fee, reference: [0; 16] };
    // One signature serves all: nobody checks it here.
    Signed { record, signature: cbdc_ledger::Signature([0; 64]) }.into()
}

fn outcome(settles: bool) -> Outcome {
    if settles { Outcome::settled() } else { Outcome::refused(Reason::InsufficientFunds, 0, 1) }
}

fn entry(wallet: AccountId, index: u32, minor: u64) -> Entry {
    Entry { index, wallet, cause: Cause::Interest, amount: Amount::from_minor(minor), counterparty: None, number: 0 }
}

fn opened(store: &Arc<dyn Store>, height: Height) -> History {
    let archive = Arc::new(Archive::new(store.clone(), Arc::new(ProposalsByHeight(store.clone()))));
    let newest = RwLock::new(Newest::load(store, OWN, height).unwrap());
    History { bank: OWN, store: store.clone(), archive, newest, asked: Mutex::default() }
}

fn all(mut chain: Chain<'_>) -> Vec<(LinePosition, Side, u64)> {
    let mut lines = Vec::new();
    while let Some((height, line)) = chain.next().unwrap() {
        lines.push(((height, line.index), line.side, line.sequence));
    }
    lines
}

/// Checks every wallet's history, whole, from each of its positions, and by number.
fn check(history: &History, model: &BTreeMap<AccountId, Vec<(LinePosition, Side, u64)>>) {
    for number in 0..6 {
        let wallet = wallet(number);
        let mut expected = model.get(&wallet).cloned().unwrap_or_default();
        expected.reverse();
        let newest = history.newest_of(wallet);
        assert_eq!(all(history.chain(wallet, newest.any, |before| before.any)), expected);
        for at in 0..expected.len() {
            let (height, index) = expected[at].0;
            let order = |(position, _, _): &(LinePosition, Side, u64)| (position.0, ordinal_of(position.1));
            let first = expected.partition_point(|line| order(line) >= (height, ordinal_of(index)));
            assert_eq!(all(history.chain_before(wallet, (height, index)).unwrap().unwrap()), expected[first..]);
            // From a position without a line of this wallet nothing is followed.
            for (height, index) in [(height, index.wrapping_add(1)), (height.next(), u32::MAX)] {
                let has_line = expected.iter().any(|(position, ..)| *position == (height, index));
                assert_eq!(history.chain_before(wallet, (height, index)).unwrap().is_some(), has_line);
            }
            let is_entry = expected.iter().any(|line| line.0 == expected[at].0 && matches!(line.1, Side::Entry(_)));
            assert_eq!(history.has_entry_at(wallet, (height, index)).unwrap(), is_entry);
        }
        let is_numbered = |(_, side, _): &(LinePosition, Side, u64)| matches!(side, Side::Outgoing | Side::Other);
        let numbered: Vec<_> = expected.iter().filter(|line| is_numbered(line)).copied().collect();
        let by_sequence = all(history.chain(wallet, newest.numbered, |before| before.numbered));
        let by_sequence: Vec<_> = by_sequence.into_iter().filter(is_numbered).collect();
        assert_eq!(by_sequence, numbered);
    }
}

proptest! {
    #[test]
    fn histories_are_what_plain_lists_would_be(
        blocks in proptest::collection::vec(
            (
                proptest::collection::vec((0u8..6, 0u8..6, any::<bool>()), 0..6),
                proptest::collection::vec((0u8..6, 0u32..7, 1u64..99), 0..4),
            ),
            1..12,
        ),
        saved_at in proptest::collection::vec(1u64..12, 0..3),
        reopened_at in 1u64..12,
    ) {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let mut history = opened(&store, Height(0));
        let mut model: BTreeMap<AccountId, Vec<(LinePosition, Side, u64)>> = BTreeMap::new();
        for (height, (plans, entries)) in (1..).map(Height).zip(&blocks) {
            let mut batch = WriteBatch::new();
            let mut update = history.update();
            // The first are the ledger's own.
            let mut entries: Vec<Entry> = entries
                .iter()
                .map(|(number, ordinal, minor)| entry(wallet(*number), ordinal.wrapping_sub(1), *minor))
                .collect();
            entries.sort_by_key(Entry::ordinal);
            update.begin(height, plans.len(), &entries);
            for (index, (from, to, settles)) in (0..).zip(plans) {
                // The ledger refuses a payment to oneself.
                let settles = *settles && from != to;
                let (from, to, sequence) = (wallet(*from), wallet(*to), height.0 * 10 + u64::from(index));
                update.add(&payment(from, to, sequence), index, 0, &outcome(settles));
                let mut note = |wallet: AccountId, side, sequence| {
                    model.entry(wallet).or_default().push(((height, index), side, sequence));
                };
                if from.bank == OWN {
                    note(from, Side::Outgoing, sequence);
                }
                if to.bank == OWN && settles {
                    note(to, Side::Incoming, 0);
                }
            }
            for entry in entries.into_iter().filter(|entry| entry.wallet.bank == OWN) {
                model.entry(entry.wallet).or_default().push(((height, entry.index), Side::Entry(entry), 0));
            }
            let is_entry = |side: &Side| matches!(side, Side::Entry(_));
            model.values_mut().for_each(|lines| {
                lines.sort_by_key(|((height, index), side, _)| (*height, ordinal_of(*index), is_entry(side)));
            });
            update.put(&mut batch);
            store.write(batch, Durability::Buffered).unwrap();
            drop(update);
            if saved_at.contains(&height.0) {
                history.snapshot().save(&store, height).unwrap();
            }
            if reopened_at == height.0 {
                history = opened(&store, height);
            }
        }
        check(&history, &model);
        check(&opened(&store, Height(blocks.len() as u64)), &model);
    }
}

#[test]
fn a_flipped_bit_in_the_index_is_named_by_its_height() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let history = opened(&store, Height(0));
    let mut update = history.update();
    update.begin(Height(1), 1, &[]);
    update.add(&payment(wallet(0), wallet(1), 1), 0, 0, &outcome(true));
    let mut batch = WriteBatch::new();
    update.put(&mut batch);
    drop(update);
    store.write(batch, Durability::Buffered).unwrap();

    let key = row_key(Height(1));
    let mut row = store.get(Column::History, &key).unwrap().unwrap().to_vec();
    row[9] ^= 1;
    let mut batch = WriteBatch::new();
    batch.put(Column::History, key, row);
    store.write(batch, Durability::Buffered).unwrap();

    let read = history.newest(wallet(0), Height(2), 5).unwrap_err().to_string();
    assert!(read.contains("block 1 is damaged"), "{read}");
    let opened = Newest::load(&store, OWN, Height(1)).map(|_| ()).unwrap_err().to_string();
    assert!(opened.contains("block 1 is damaged"), "{opened}");
}

#[test]
fn a_call_reads_no_more_than_so_many_records_of_a_long_history() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let history = opened(&store, Height(0));
    let blocks = ROWS_MAX as u64 + 10;
    let mut batch = WriteBatch::new();
    for height in 1..=blocks {
        let mut update = history.update();
        update.begin(Height(height), 1, &[]);
        update.add(&payment(wallet(0), wallet(1), height), 0, 0, &outcome(true));
        update.put(&mut batch);
    }
    store.write(batch, Durability::Buffered).unwrap();

    let read = |mut chain: Chain<'_>| {
        let mut rows = 0;
        while chain.next().unwrap().is_some() {
            rows += 1;
        }
        (rows, chain.is_broken_off)
    };
    let newest = |wallet| history.chain(wallet, history.newest_of(wallet).any, |before| before.any);
    assert_eq!(read(newest(wallet(0))), (ROWS_MAX, true));
    // A position that no list has given out leads nowhere.
    assert!(history.chain_before(wallet(0), (Height(1), 7)).unwrap().is_none());
    assert!(history.before(wallet(2), (Height(1), 0), 5).unwrap().is_none());
    let last_page = history.chain_before(wallet(0), (Height(11), 0)).unwrap().unwrap();
    assert_eq!(read(last_page), (10, false));

    let mut left = RowsLeft::of_one();
    assert!(matches!(history.by_sequence(wallet(0), 1, &mut left).unwrap(), Sought::TooFarBack));
    assert_eq!(left.0, 0);
    // Nor does a batch of such numbers read more, whatever it asks for next.
    assert!(matches!(history.by_sequence(wallet(0), 2, &mut left).unwrap(), Sought::TooFarBack));
    let mut left = RowsLeft::of_one();
    assert!(matches!(history.by_sequence(wallet(0), blocks + 1, &mut left).unwrap(), Sought::Unknown));
    assert!(left.0 > ROWS_MAX - 70, "what is not in the window of the newest is not looked for");
}
