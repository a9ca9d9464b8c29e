//! Genesis, headers and receipts, and receipts that prove nothing.

use cbdc_client::{Anchor, VerifiedReceipt};
use cbdc_ledger::block::command_leaf;
use cbdc_ledger::encoding::hex;
use cbdc_ledger::{Genesis, Header, MemberId, Outcome, Reason, Receipt, SignedHeader, SigningKey, Timestamp};
use cbdc_proto::convert::receipt_to_message;
use prost::Message;
use serde_json::{Value, json};

use super::{genesis, key, network, number};
use crate::support::receipt::receipt;

/// A second network: two nodes of the central bank, both of which must sign.
fn genesis_of_two() -> Genesis {
    let mut genesis = genesis();
    let mut second = genesis.members[0].clone();
    (second.id, second.name, second.signing_key) = (MemberId(2), "second".to_owned(), key(20).public_key());
    genesis.members.insert(1, second);
    genesis.header_signatures = 2;
    genesis
}

fn genesis_vector(name: &str, genesis: &Genesis) -> Value {
    assert_eq!(Genesis::from_bytes(&genesis.to_bytes()).as_ref(), Ok(genesis));
    let members: Vec<Value> = genesis
        .members
        .iter()
        .map(|member| {
            json!({ "role": member.role as u8, "role_name": member.role.name(), "id": member.id.0,
                "name": member.name, "signing_key": hex(&member.signing_key.0),
                "node_key": member.node_key.map(|key| hex(&key.0)) })
        })
        .collect();
    json!({
        "name": name,
        "genesis": hex(&genesis.to_bytes()),
        "network_id": hex(&genesis.network().0),
        "format": genesis.format as u8,
        "currency": String::from_utf8_lossy(&genesis.currency),
        "currency_exponent": genesis.currency_exponent,
        "created_at_ms": number(genesis.created_at.0),
        "validity_ms_max": number(genesis.validity_ms_max),
        "header_signatures": genesis.header_signatures,
        "threshold": genesis.threshold,
        "members": members,
    })
}

pub fn genesis_vectors() -> Value {
    let with_node_key = crate::support::genesis(Some(key(30).public_key()));
    let networks = [("one node", genesis()), ("two nodes", genesis_of_two()), ("a node key", with_node_key)];
    let bytes = genesis().to_bytes();
    let changed = |at: usize, to: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = to;
        bytes
    };
    let refused = [
        ("an unknown version of the formats", changed(0, 9)),
        ("more header signatures than nodes", changed(24, 2)),
        ("an unknown role of the first member", changed(32, 99)),
        ("cut short among the members", bytes[..100].to_vec()),
        ("nothing", vec![]),
    ]
    .map(|(why, bytes)| {
        assert!(Genesis::from_bytes(&bytes).is_err(), "{why}");
        json!({ "why": why, "genesis": hex(&bytes) })
    });
    json!({ "networks": networks.map(|(name, genesis)| genesis_vector(name, &genesis)), "refused": refused })
}

/// A receipt with all that it is made of.
fn vector(name: &str, network: &str, receipt: &Receipt) -> Value {
    let header = &receipt.header;
    let mut outcome = cbdc_ledger::encoding::Writer::default();
    receipt.outcome.encode(&mut outcome);
    let signatures: Vec<Value> = header
        .signatures
        .iter()
        .map(|(node, signature)| json!({ "node": node.0, "signature": hex(&signature.0) }))
        .collect();
    json!({
        "name": name,
        "network": network,
        "message": hex(&receipt_to_message(receipt).encode_to_vec()),
        "header": hex(&header.header.to_bytes()),
        "header_hash": hex(&header.header.hash()),
        "signatures": signatures,
        "index": receipt.index,
        "command": hex(&receipt.command),
        "command_hash": hex(blake3::hash(&receipt.command).as_bytes()),
        "outcome": hex(&outcome.finish()),
        "leaf": hex(&command_leaf(receipt.index, &receipt.command, &receipt.outcome)),
        "path": receipt.path.iter().map(|hash| hex(hash)).collect::<Vec<_>>(),
    })
}

fn accepted(name: &str, network: &str, anchor: &Anchor, receipt: &Receipt) -> Value {
    let verified = VerifiedReceipt::check(receipt.clone(), anchor).unwrap();
    assert_eq!(VerifiedReceipt::from_bytes(&verified.to_bytes(), anchor).unwrap(), verified);
    let header = &receipt.header.header;
    let mut vector = vector(name, network, receipt);
    vector["height"] = number(header.height.0);
    vector["time_ms"] = number(header.time.0);
    vector["command_count"] = json!(header.command_count);
    vector["policy_version"] = json!(header.policy_version);
    vector["commands_root"] = json!(hex(&header.commands_root));
    vector["reason"] = json!(receipt.outcome.reason.to_string());
    vector
}

/// The same receipt with another header, which the key of the central bank signs again.
fn re_signed(receipt: &Receipt, key: &SigningKey, change: impl FnOnce(&mut Header)) -> Receipt {
    let mut header = receipt.header.header;
    change(&mut header);
    Receipt { header: SignedHeader::sign(header, network(), MemberId(1), key), ..receipt.clone() }
}

/// The only command of its block: its leaf is the root, and the path is empty.
fn of_one_command(receipt: &Receipt, outcome: Outcome) -> Receipt {
    let alone = Receipt { index: 0, outcome, path: vec![], ..receipt.clone() };
    let root = command_leaf(0, &alone.command, &alone.outcome);
    re_signed(&alone, &key(1), |header| (header.command_count, header.commands_root) = (1, root))
}

fn refused_receipts(good: &Receipt, anchor: &Anchor) -> Vec<Value> {
    let with = |change: &dyn Fn(&mut Receipt)| {
        let mut receipt = good.clone();
        change(&mut receipt);
        receipt
    };
    let mut malleable = good.clone();
    let response: [u8; 32] = malleable.header.signatures[0].1.0[32..].try_into().unwrap();
    malleable.header.signatures[0].1.0[32..].copy_from_slice(&super::signatures::plus_order(response));
    let own = (good.header.header.time, good.header.signatures[0]);
    let cases = [
        ("s of the header's signature is not canonical", malleable),
        ("the path is altered", with(&|receipt| receipt.path[1][0] ^= 1)),
        ("the path lacks a hash", with(&|receipt| receipt.path.truncate(2))),
        ("the path has a hash too many", with(&|receipt| receipt.path.push([0; 32]))),
        ("another index", with(&|receipt| receipt.index = 3)),
        ("an index beyond the block", with(&|receipt| receipt.index = 5)),
        ("another outcome", with(&|receipt| receipt.outcome = Outcome::refused(Reason::HoldingLimit, 1, 2))),
        ("the amount of the command is altered", with(&|receipt| receipt.command[40] ^= 1)),
        ("the command's signature is altered", with(&|receipt| receipt.command[135] ^= 1)),
        ("the header is altered", with(&|receipt| receipt.header.header.time = Timestamp(own.0.0 + 1))),
        ("nobody has signed", with(&|receipt| receipt.header.signatures.clear())),
        ("a node that is none", with(&|receipt| receipt.header.signatures[0].0 = MemberId(2))),
        ("signed by the committee's key", re_signed(good, &key(2), |_| {})),
        ("another number of commands, signed", re_signed(good, &key(1), |header| header.command_count = 3)),
        ("the command is none", {
            let mut receipt = good.clone();
            receipt.command[1] = 99;
            of_one_command(&receipt, receipt.outcome)
        }),
    ];
    cases
        .map(|(why, receipt)| {
            assert!(VerifiedReceipt::check(receipt.clone(), anchor).is_err(), "{why}");
            let mut vector = vector("", "one node", &receipt);
            vector["why"] = json!(why);
            vector
        })
        .to_vec()
}

/// Receipts of the network whose headers two nodes must sign.
fn of_two_nodes(anchor: &Anchor, refused: &mut Vec<Value>) -> Value {
    let one = receipt(anchor, &key(1));
    let second = SignedHeader::sign(one.header.header, anchor.network(), MemberId(2), &key(20)).signatures[0];
    let with = |signatures| {
        let header = SignedHeader { header: one.header.header, signatures };
        Receipt { header, ..one.clone() }
    };
    let first = one.header.signatures[0];
    let cases = [
        ("one signature where two are needed", vec![first]),
        ("the same node twice", vec![first, first]),
        ("one signature under both nodes' numbers", vec![first, (MemberId(2), first.1)]),
    ];
    for (why, signatures) in cases {
        let receipt = with(signatures);
        assert!(VerifiedReceipt::check(receipt.clone(), anchor).is_err(), "{why}");
        let mut vector = vector("", "two nodes", &receipt);
        vector["why"] = json!(why);
        refused.push(vector);
    }
    accepted("signed by two nodes", "two nodes", anchor, &with(vec![second, first]))
}

pub fn vectors() -> Value {
    let anchor = Anchor::new(genesis());
    let good = receipt(&anchor, &key(1));
    let refusal = Outcome::refused(Reason::InsufficientFunds, 100, 1_250);
    let version_2 = |header: &mut Header| {
        header.format = cbdc_ledger::FormatVersion::Two;
        (header.state_root, header.balances_root) = ([6; 32], [7; 32]);
    };
    let mut refused = refused_receipts(&good, &anchor);
    let of_two = of_two_nodes(&Anchor::new(genesis_of_two()), &mut refused);
    let mut other_network = vector("", "a node key", &good);
    other_network["why"] = json!("a receipt of another network");
    assert!(
        VerifiedReceipt::check(good.clone(), &Anchor::new(crate::support::genesis(Some(key(30).public_key()))))
            .is_err()
    );
    refused.push(other_network);
    json!({
        "accepted": [
            accepted("the third of five", "one node", &anchor, &good),
            accepted("a header of version 2", "one node", &anchor, &re_signed(&good, &key(1), version_2)),
            accepted("the only command", "one node", &anchor, &of_one_command(&good, Outcome::settled())),
            accepted("a refusal", "one node", &anchor, &of_one_command(&good, refusal)),
            of_two,
        ],
        "refused": refused,
    })
}
