//! The seeds from which fuzzing starts (`fuzz/seeds`): each decodes, so that a mutation begins behind the first checks,
//! and each is of today's encodings. `UPDATE_FIXTURES=1 cargo test --release -p cbdc-ledger --test ledger fuzz_seeds`
//! writes them anew.

use std::collections::BTreeMap;
use std::path::Path;

use crate::model;
use crate::model::network::{account, amount, key, proposal};
use crate::model::samples::{chunks_of, commands, commands_under, encoded, load};
use cbdc_ledger::books::Books;
use cbdc_ledger::checkpoint_signature::CheckpointSignature;
use cbdc_ledger::command::{IssuanceKind, IssuanceRequest, Record, SessionStatement, SignedSession};
use cbdc_ledger::encoding::Reader;
use cbdc_ledger::filtered_block::filtered_blocks;
use cbdc_ledger::member::Role;
use cbdc_ledger::membership_change::MembershipChange;
use cbdc_ledger::sections::Sections;
use cbdc_ledger::{
    Account, BankId, BlockProposal, Command, CommandBatch, FormatVersion, Genesis, Header, Ledger, MemberId, Outcome,
    Reason, Signed, SignedHeader, Timestamp, VerifiedProposal,
};

/// Seeds by target and name.
type Seeds = BTreeMap<(&'static str, String), Vec<u8>>;

/// The seeds of the targets that decode what this crate encodes.
fn seeds() -> Seeds {
    let mut seeds = Seeds::new();
    let mut add = |target, name: &str, bytes: Vec<u8>| {
        seeds.insert((target, name.to_owned()), bytes);
    };
    let (mut network, samples) = commands();
    for (name, command) in &samples {
        add("command", name, command.to_bytes());
    }
    let samples: Vec<Command> = samples.into_iter().map(|(_, command)| command).collect();
    add("command_batch", "each-kind", samples.iter().flat_map(Command::to_bytes).collect());
    let bytes = proposal(network.now, &samples);
    let block = network.ledger.apply(&VerifiedProposal::from_own_log(&bytes).unwrap());
    let signed = SignedHeader::sign(block.header, network.id(), MemberId(0), &key("central-bank-0"));
    let checkpoint = (network.ledger.tip_hash(), [7; 32]);
    let (node, node_key) = ((Role::CentralBank, MemberId(0)), key("central-bank-0"));
    let signature = CheckpointSignature::sign(network.id(), node, &node_key, &checkpoint.0, &checkpoint.1);
    add("proofs", "checkpoint-signature", signature.to_bytes());
    add("proofs", "sections", network.ledger.sections().to_bytes());
    add("block_proposal", "proposal", bytes);
    add("header", "header", block.header.to_bytes());
    add("header", "signed", encoded(|out| signed.encode(out)));
    add("outcome", "outcome", encoded(|out| Outcome::refused(Reason::HoldingLimit, 300_000, 300_001).encode(out)));
    add("state", "account", encoded(|out| network.ledger.account(account(1, 1)).unwrap().encode(out)));
    add("state", "books", encoded(|out| network.ledger.books().encode(out)));
    add("genesis", "genesis", network.ledger.genesis().to_bytes());
    let head = network.member_head(Role::Bank, 1);
    let request = IssuanceRequest { kind: IssuanceKind::Issue, head, bank: BankId(1), amount: amount(5) };
    add("issuance_request", "issue", request.sign(network.id(), &key("bank-1")).to_bytes());
    let (account, expires_at) = (account(1, 1), Timestamp(1_800_000_000_000));
    let session = SessionStatement { bank: BankId(2), key_version: 5, account, expires_at, challenge: [9; 32] };
    add("session_statement", "session", session.sign(network.id(), &key("alice")).to_bytes().into());

    for (format, name) in [(FormatVersion::One, "version-1"), (FormatVersion::Two, "version-2")] {
        let (mut network, samples) = commands_under(format);
        let genesis = network.ledger.genesis().clone();
        let chunks = chunks_of(&mut network).0;
        let framed = |chunk: &Vec<u8>| [(chunk.len() as u32).to_le_bytes().as_slice(), chunk].concat();
        add("checkpoint", name, chunks.iter().flat_map(framed).collect());

        // The first block of a bank that begins at genesis, in which most is refused.
        let mut ledger = Ledger::new(genesis.clone()).unwrap();
        let parent = *ledger.tip();
        let samples: Vec<Command> = samples.into_iter().map(|(_, command)| command).collect();
        let bytes = proposal(genesis.created_at.plus_ms(1), &samples);
        let block = ledger.apply(&VerifiedProposal::from_own_log(&bytes).unwrap());
        let decoded = BlockProposal::decode(&bytes).unwrap();
        let (_, filtered) = filtered_blocks(&ledger, &[BankId(1)], &parent, &decoded, &block).remove(0);
        let header = block.header.to_bytes();
        add("filtered_block", name, [&(header.len() as u16).to_le_bytes()[..], &header, &filtered].concat());
        if format == FormatVersion::Two {
            let signed = SignedHeader::sign(block.header, ledger.network(), node.1, &node_key);
            let change = MembershipChange::of(signed, &ledger).expect("this version proves membership");
            add("proofs", "membership-change", change.to_bytes());
            add("genesis", name, genesis.to_bytes());
            add("header", name, header);
        }
    }
    seeds
}

fn decodes(target: &str, bytes: &[u8]) -> bool {
    let mut reader = Reader::new("seed", bytes);
    match target {
        "command" => Command::from_bytes(bytes).is_ok(),
        "command_batch" => CommandBatch::decode(bytes.to_vec().into(), 64).is_ok(),
        "block_proposal" => BlockProposal::decode(bytes).is_ok(),
        "header" => Header::from_bytes(bytes).is_ok() || SignedHeader::decode(&mut reader).is_ok(),
        "outcome" => Outcome::decode(&mut reader).is_ok(),
        "state" => Account::decode(&mut reader).is_ok() || Books::decode(&mut Reader::new("seed", bytes)).is_ok(),
        "genesis" => Genesis::from_bytes(bytes).is_ok(),
        "proofs" => {
            MembershipChange::from_bytes(bytes).is_ok()
                || CheckpointSignature::from_bytes(bytes).is_ok()
                || Sections::from_bytes(bytes).is_some()
        }
        "session_statement" => SignedSession::from_bytes(bytes).is_ok(),
        "issuance_request" => Signed::<IssuanceRequest>::from_bytes(bytes).is_ok(),
        "checkpoint" => {
            let (mut chunks, mut rest) = (Vec::new(), bytes);
            while let Some((length, bytes)) = rest.split_first_chunk::<4>() {
                let (chunk, others) = bytes.split_at(u32::from_le_bytes(*length) as usize);
                chunks.push(chunk.to_vec());
                rest = others;
            }
            load(&chunks).is_ok_and(|ledger| ledger.check_invariants().is_ok())
        }
        "filtered_block" => {
            let (length, bytes) = bytes.split_first_chunk::<2>().unwrap();
            let (header, filtered) = bytes.split_at(usize::from(u16::from_le_bytes(*length)));
            let header = Header::from_bytes(header).unwrap();
            let format = seeds_genesis(&header);
            Ledger::of_bank(format, BankId(1)).unwrap().follow(&header, filtered).is_ok()
        }
        other => panic!("nothing reads seeds of {other}"),
    }
}

/// The genesis of the seeds' network whose first block has that header.
fn seeds_genesis(header: &Header) -> Genesis {
    let formats = [FormatVersion::One, FormatVersion::Two];
    let of = |format| Genesis { format, ..model::network::genesis() };
    let is_parent = |genesis: &Genesis| Ledger::new(genesis.clone()).unwrap().tip().hash() == header.parent;
    formats.map(of).into_iter().find(is_parent).expect("the seed is the block after a genesis")
}

#[test]
fn every_seed_is_of_todays_encodings_and_decodes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds");
    let update = std::env::var_os("UPDATE_FIXTURES").is_some();
    let seeds = seeds();
    for ((target, name), bytes) in &seeds {
        assert!(decodes(target, bytes), "{target}/{name} does not decode");
        let path = folder.join(target).join(name);
        if update {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, bytes).unwrap();
        }
        assert_eq!(std::fs::read(&path).ok().as_ref(), Some(bytes), "{target}/{name}: see the head of this file");
    }
    let targets: std::collections::BTreeSet<&str> = seeds.keys().map(|(target, _)| *target).collect();
    for target in targets {
        for entry in std::fs::read_dir(folder.join(target)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let is_made = seeds.contains_key(&(target, name.clone()));
            if update && !is_made {
                std::fs::remove_file(folder.join(target).join(&name)).unwrap();
            }
            assert!(is_made || update, "{target}/{name}: a seed that nothing makes");
        }
    }
}
