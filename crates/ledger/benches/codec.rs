//! Encoding and decoding of block proposals of signed transfers (136 bytes each), as ordering stores and replays them.
//!
//! Names are `codec::operation/commands=count`; the throughput shown is in bytes.
//!
//! Run: `cargo bench -p cbdc-ledger --bench codec`.

use std::hint::black_box;

use cbdc_ledger::command::{Head, Payment, PaymentKind};
use cbdc_ledger::encoding::Writer;
use cbdc_ledger::{AccountId, Amount, BankId, BlockProposal, Command, Signature, Signed, Timestamp};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const COMMANDS: [u32; 3] = [1, 256, 4_096];

fn transfer(number: u32) -> Command {
    let record = Payment {
        kind: PaymentKind::Transfer,
        head: Head { flags: 0, key_version: 0, sequence: u64::from(number), valid_until: Timestamp(1) },
        from: AccountId::new(BankId(1), number),
        to: AccountId::new(BankId(2), number),
        amount: Amount::from_minor(100),
        max_fee: Amount::ZERO,
        reference: [1; 16],
    };
    Signed { record, signature: Signature([number as u8; 64]) }.into()
}

/// The layout of a block proposal, from commands whose signatures nobody checked.
fn encode(commands: &[Command]) -> Vec<u8> {
    let mut out = Writer::with_capacity(16 + 136 * commands.len());
    out.u8(1).reserved(3).u32(commands.len() as u32).u64(1);
    commands.iter().for_each(|command| command.encode(&mut out));
    out.finish()
}

fn benchmark(criterion: &mut Criterion) {
    for count in COMMANDS {
        let commands: Vec<Command> = (0..count).map(transfer).collect();
        let bytes = encode(&commands);
        assert_eq!(BlockProposal::decode(&bytes).expect("the proposal decodes").commands, commands);
        for (operation, encodes) in [("encode", true), ("decode", false)] {
            let mut group = criterion.benchmark_group(format!("codec::{operation}"));
            group.throughput(Throughput::Bytes(bytes.len() as u64));
            group.bench_function(format!("commands={count}"), |bencher| {
                if encodes {
                    bencher.iter(|| encode(black_box(&commands)));
                } else {
                    bencher.iter(|| BlockProposal::decode(black_box(&bytes)).map(|proposal| proposal.commands.len()));
                }
            });
            group.finish();
        }
    }
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
