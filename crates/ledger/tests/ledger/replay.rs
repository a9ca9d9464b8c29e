//! Receipts and replay: what a block proves, and that every node gets the same one.

use crate::model::network::{HOUR_MS, Network, account, amount, batch_seed, key, member, proposal, unsigned};
use crate::model::samples::{chunks_of, commands, commands_under, encoded, load};
use cbdc_ledger::block::{Receipt, command_leaf};
use cbdc_ledger::command::{GovernanceAction, IssuanceKind};
use cbdc_ledger::encoding::Reader;
use cbdc_ledger::member::Role;
use cbdc_ledger::policy::PolicyChange;
use cbdc_ledger::{Class, Command, FormatVersion, MemberId, Outcome, Reason, SignedHeader, VerifiedProposal};

#[test]
fn headers_checked_together_have_each_its_own_verdict() {
    let (mut network, commands) = commands();
    let mut headers: Vec<SignedHeader> = commands
        .into_iter()
        .map(|(_, command)| {
            let block = network.block(&[command]);
            SignedHeader::sign(block.header, network.id(), MemberId(0), &key("central-bank-0"))
        })
        .collect();
    assert!(headers.len() > 3);
    headers[1].signatures[0].1.0[40] ^= 1;
    let [by_another, by_nobody_known] = [2, 3].map(|at| headers[at].header);
    headers[2] = SignedHeader::sign(by_another, network.id(), MemberId(0), &key("central-bank-9"));
    headers[3] = SignedHeader::sign(by_nobody_known, network.id(), MemberId(9), &key("central-bank-0"));
    let twice = headers[0].signatures[0];
    headers[0].signatures.push(twice);
    let members = network.ledger.members();
    let verdicts = SignedHeader::check_each_by_members(&headers, network.id(), 1, members, batch_seed());
    for (at, (header, verdict)) in headers.iter().zip(&verdicts).enumerate() {
        assert_eq!(verdict.is_ok(), ![1, 2, 3].contains(&at), "header {at}");
        assert_eq!(*verdict, header.check_by_members(network.id(), 1, members), "header {at}");
    }
    let of_two = SignedHeader::check_each_by_members(&headers, network.id(), 2, members, batch_seed());
    assert!(of_two.iter().all(Result::is_err), "one signature is not two, and the same one twice neither");
}

#[test]
fn a_receipt_proves_its_command_and_nothing_else() {
    let (mut network, commands) = commands();
    let all: Vec<Command> = commands.into_iter().map(|(_, command)| command).collect();
    let block = network.block(&all);
    let signed = SignedHeader::sign(block.header, network.id(), MemberId(0), &key("central-bank-0"));
    let key_of = |node: MemberId| Some(network.ledger.members().active(Role::CentralBank, node)?.member.signing_key);
    for (index, command) in all.iter().enumerate() {
        let outcome = block.outcomes[index];
        let receipt = Receipt::build(signed.clone(), &block.leaves, index as u32, command.to_bytes(), outcome).unwrap();
        assert_eq!(receipt.check(network.id(), 1, key_of), Ok(command.clone()));
        assert!(receipt.check(network.id(), 2, key_of).is_err(), "one signature is not two");
        let mut twice = receipt.clone();
        twice.header.signatures.push(twice.header.signatures[0]);
        assert!(twice.check(network.id(), 2, key_of).is_err(), "nor is the same signature twice");
        let refuses = |change: &dyn Fn(&mut Receipt)| {
            let mut other = receipt.clone();
            change(&mut other);
            assert!(other.check(network.id(), 1, key_of).is_err(), "receipt {index}");
        };
        refuses(&|receipt| receipt.index = (receipt.index + 1) % all.len() as u32);
        refuses(&|receipt| receipt.outcome.amount += 1);
        refuses(&|receipt| receipt.outcome.reason = Reason::Overflow);
        refuses(&|receipt| receipt.header.header.height = cbdc_ledger::Height(99));
        refuses(&|receipt| receipt.path.truncate(receipt.path.len() - 1));
        refuses(&|receipt| receipt.path.push([0; 32]));
        refuses(&|receipt| receipt.header.signatures[0].0 = MemberId(1));
        for at in 0..receipt.command.len() {
            refuses(&|receipt| receipt.command[at] ^= 1);
        }
        let other_network = cbdc_ledger::NetworkId([9; 32]);
        assert!(receipt.check(other_network, 1, key_of).is_err());
    }
    assert_eq!(Receipt::build(signed, &block.leaves, all.len() as u32, vec![], Outcome::settled()), None);
}

#[test]
fn the_same_proposals_give_the_same_blocks_and_any_flipped_byte_is_seen() {
    // In version 1 nothing reads the byte that asks for a checkpoint block.
    let (mut network, commands) = commands_under(FormatVersion::Two);
    let directory = cbdc_ledger::directory::KeyDirectory::of(&network.ledger);
    let (chunks, _) = chunks_of(&mut network);
    let all: Vec<Command> = commands.into_iter().map(|(_, command)| command).collect();
    let bytes = proposal(network.now.plus_ms(HOUR_MS / 2), &all);
    let block = load(&chunks).unwrap().apply(&VerifiedProposal::from_own_log(&bytes).unwrap());
    VerifiedProposal::check(&bytes, &block.outcomes, network.id(), &directory, batch_seed()).unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        let Ok(verified) = VerifiedProposal::from_own_log(&flipped) else { continue };
        // Even a node that checks no signature gets another header.
        let other = load(&chunks[..]).unwrap().apply(&verified);
        assert_ne!(other.header.hash(), block.header.hash(), "byte {at}");
        let in_a_command = at >= cbdc_ledger::block_proposal::PROPOSAL_HEAD_BYTES;
        assert!(!in_a_command || other.header.commands_root != block.header.commands_root, "byte {at}");
        // One that checks them refuses every command that had an effect.
        if in_a_command {
            let checked = VerifiedProposal::check(
                &flipped,
                &vec![Outcome::settled(); all.len()],
                network.id(),
                &directory,
                batch_seed(),
            );
            assert!(checked.is_err(), "byte {at}");
        }
    }
    for index in 0..all.len() {
        for at in (0..2).chain(8..24) {
            let mut outcome = encoded(|out| block.outcomes[index].encode(out));
            outcome[at] ^= 1;
            let Ok(outcome) = Outcome::decode(&mut Reader::new("outcome", &outcome)) else { continue };
            let mut leaves = block.leaves.clone();
            leaves[index] = command_leaf(index as u32, &all[index].to_bytes(), &outcome);
            assert_ne!(cbdc_ledger::merkle::root(&leaves), block.header.commands_root);
        }
    }
}

#[test]
fn a_second_ledger_replays_a_network_to_the_same_header_at_every_height() {
    let mut network = Network::build(|_| {});
    let mut log: Vec<(Vec<u8>, [u8; 32])> = Vec::new();
    let mut order = |network: &mut Network, commands: &[Command]| {
        let block = network.block(commands);
        log.push((proposal(network.now, commands), block.header.hash()));
        network.wait(HOUR_MS);
        block
    };
    for (bank, person) in [(1, "alice"), (2, "bob"), (3, "carol")] {
        let (open, issue) =
            (network.opening(bank, person, Class::HOUSEHOLD), network.issuance(IssuanceKind::Issue, bank, 900));
        let mut issue = issue;
        issue.request.record.head.sequence += 1;
        order(&mut network, &[unsigned(open), unsigned(issue)]);
        let fund = network.funding(account(bank, 1), 900);
        order(&mut network, &[unsigned(fund)]);
    }
    let limit = PolicyChange::DayLimit { class: Class::HOUSEHOLD, limit: Some(amount(100)) };
    let proposal =
        network.proposal(vec![GovernanceAction::Policy(limit), GovernanceAction::AdmitMember(member(Role::Bank, 4))]);
    order(&mut network, &[unsigned(proposal)]);
    let ballot = network.ballot(2, true, 1);
    order(&mut network, &[unsigned(ballot)]);
    for _ in 0..30 {
        let payments =
            [(1, 2), (2, 3), (3, 1)].map(|(from, to)| unsigned(network.transfer(account(from, 1), account(to, 1), 60)));
        order(&mut network, &payments);
    }
    let mut second = cbdc_ledger::Ledger::new(network.ledger.genesis().clone()).unwrap();
    for (height, (bytes, hash)) in (1..).zip(&log) {
        let block = second.apply(&VerifiedProposal::from_own_log(bytes).unwrap());
        assert_eq!((block.header.height.0, block.header.hash()), (height, *hash));
    }
    assert!(log.len() == 38 && second.policy().in_force().version == 2);
}
