//! One of everything that is signed or stored.

use cbdc_ledger::checkpoint::{CheckpointError, Loader, RootHasher};
use cbdc_ledger::command::{FreezeKind, IssuanceKind, IssuanceOrder, Measure, Record};
use cbdc_ledger::encoding::Writer;
use cbdc_ledger::member::Role;
use cbdc_ledger::policy::PolicyChange;
use cbdc_ledger::{BankId, Class, Command, Ledger, MemberId};

use super::network::{Network, amount, key, member};

/// One command of each kind, really signed, and their network. Each would be its signer's next, so that in one block
/// some settle and some are refused for a number in use.
pub fn commands() -> (Network, Vec<(&'static str, Command)>) {
    let mut network = Network::build(|_| {});
    let alice = network.open(1, "alice", Class::HOUSEHOLD);
    let shop = network.open(2, "shop", Class::MERCHANT);
    network.fund(alice, 1_000);
    let order = |kind, minor| {
        let mut order: IssuanceOrder = network.issuance(kind, 1, minor);
        order.request = order.request.record.sign(network.id(), &key("bank-1"));
        network.sign(order, "operator-0")
    };
    let motion = network.motion(vec![
        Measure::Policy(PolicyChange::SupplyCap(Some(amount(1_000_000)))),
        Measure::Policy(PolicyChange::IssuanceQuota(None)),
        Measure::Policy(PolicyChange::IssuanceQuotaOfBank { bank: BankId(2), quota: Some(amount(5_000)) }),
        Measure::Policy(PolicyChange::HoldingLimit { class: Class::HOUSEHOLD, limit: Some(amount(300_000)) }),
        Measure::Policy(PolicyChange::PaymentLimit { class: Class::MERCHANT, limit: Some(amount(100_000)) }),
        Measure::Policy(PolicyChange::DayLimit { class: Class::BUSINESS, limit: None }),
        Measure::AdmitMember(member(Role::Bank, 4)),
        Measure::ReplaceKeys {
            role: Role::Bank,
            id: MemberId(1),
            signing_key: key("new").public_key(),
            node_key: None,
        },
        Measure::DismissMember { role: Role::Auditor, id: MemberId(0) },
        Measure::Threshold(3),
    ]);
    let commands = vec![
        ("transfer", network.sign(network.transfer(alice, shop, 250), "wallet of alice at 1")),
        ("defund", network.sign(network.defunding(alice, 100), "wallet of alice at 1")),
        ("fund", network.sign(network.funding(alice, 75), "bank-1")),
        ("open-wallet", network.sign(network.opening(1, "bob", Class::BUSINESS), "bank-1")),
        ("close-wallet", network.sign(network.closing(shop), "bank-2")),
        ("replace-key", network.sign(network.replacing(alice, "alice's new phone"), "bank-1")),
        ("issue", order(IssuanceKind::Issue, 500)),
        ("redeem", order(IssuanceKind::Redeem, 200)),
        ("reserves-transfer", network.sign(network.reserves_transfer(1, 2, 40), "bank-1")),
        ("freeze", network.sign(network.order(FreezeKind::Freeze, alice, 60), "order-0")),
        ("unfreeze", network.sign(network.order(FreezeKind::Unfreeze, alice, 10), "order-0")),
        ("propose", network.sign(motion, "committee-0")),
        ("vote", network.sign(network.ballot(1, true, 1), "committee-1")),
    ];
    (network, commands)
}

/// The bytes that `encode` writes.
pub fn encoded(encode: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut out = Writer::default();
    encode(&mut out);
    out.finish()
}

/// The checkpoint of a network's ledger, and its root.
pub fn chunks_of(network: &Network) -> (Vec<Vec<u8>>, [u8; 32]) {
    let mut chunks = Vec::new();
    let keep = |chunk| {
        chunks.push(chunk);
        Ok::<_, ()>(())
    };
    let root = network.ledger.freeze().write(keep).unwrap();
    (chunks, root)
}

/// Loads chunks under whatever root they have.
pub fn load(chunks: &[Vec<u8>]) -> Result<Ledger, CheckpointError> {
    let (mut loader, mut hasher) = (Loader::default(), RootHasher::default());
    for chunk in chunks {
        hasher.chunk(chunk);
        loader.chunk(chunk)?;
    }
    loader.finish(hasher.root())
}
