//! Blocks of signed transfers: hashing the leaves to their root, and building and checking a receipt.
//!
//! Names are `block::operation/commands=count`. `seal` hashes every leaf and the tree; `path` takes one audit path from
//! the leaves; `check` is what a wallet does with a receipt: the path, and one signature of a node over the header.
//!
//! Run: `cargo bench -p cbdc-ledger --bench block`.

use std::hint::black_box;

use cbdc_ledger::block::command_leaf;
use cbdc_ledger::command::{Head, Payment, PaymentKind, Record};
use cbdc_ledger::merkle::{self, Hash};
use cbdc_ledger::{
    AccountId, Amount, BankId, Header, Height, MemberId, NetworkId, Outcome, SignedHeader, SigningKey, SupplyTerms,
    Timestamp, block::Receipt,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const COMMANDS: [u32; 3] = [1, 256, 4_096];
const NETWORK: NetworkId = NetworkId([3; 32]);

fn transfer(number: u32, key: &SigningKey) -> Vec<u8> {
    let payment = Payment {
        kind: PaymentKind::Transfer,
        head: Head { flags: 0, key_version: 0, sequence: u64::from(number), valid_until: Timestamp(1) },
        from: AccountId::new(BankId(1), number),
        to: AccountId::new(BankId(2), number),
        amount: Amount::from_minor(100),
        max_fee: Amount::ZERO,
        reference: [1; 16],
    };
    payment.sign(NETWORK, key).to_bytes()
}

fn leaves(commands: &[Vec<u8>]) -> Vec<Hash> {
    let outcome = Outcome::settled();
    commands.iter().zip(0..).map(|(command, index)| command_leaf(index, command, &outcome)).collect()
}

fn header(count: u32, commands_root: Hash) -> Header {
    Header {
        format: cbdc_ledger::FormatVersion::Two,
        height: Height(1),
        time: Timestamp(1),
        parent: [0; 32],
        command_count: count,
        commands_root,
        effects_root: [0; 32],
        balances_root: [0; 32],
        state_root: [0; 32],
        books_digest: [0; 32],
        policy_version: 1,
        cbdc: Amount::ZERO,
        supply: SupplyTerms::default(),
    }
}

fn benchmark(criterion: &mut Criterion) {
    let key = SigningKey::from_seed([9; 32]);
    for count in COMMANDS {
        let commands: Vec<Vec<u8>> = (0..count).map(|number| transfer(number, &key)).collect();
        let leaves_of_block = leaves(&commands);
        let signed = SignedHeader::sign(header(count, merkle::root(&leaves_of_block)), NETWORK, MemberId(0), &key);
        let index = count / 2;
        let command = commands[index as usize].clone();
        let receipt = Receipt::build(signed, &leaves_of_block, index, command, Outcome::settled())
            .expect("the index is below the count of leaves");

        let mut group = criterion.benchmark_group("block::seal");
        group.throughput(Throughput::Elements(u64::from(count)));
        group.bench_function(format!("commands={count}"), |bencher| {
            bencher.iter(|| merkle::root(&leaves(black_box(&commands))));
        });
        group.finish();
        criterion.bench_function(&format!("block::path/commands={count}"), |bencher| {
            bencher.iter(|| merkle::path(black_box(&leaves_of_block), index as usize));
        });
        criterion.bench_function(&format!("block::check/commands={count}"), |bencher| {
            bencher.iter(|| {
                let checked = black_box(&receipt).check(NETWORK, 1, |_| Some(key.public_key()));
                assert!(checked.is_ok());
            });
        });
    }
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
