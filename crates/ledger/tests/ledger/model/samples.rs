//! One of everything that is signed or stored.

use cbdc_ledger::amount::RatePpm;
use cbdc_ledger::bank_position::BankStatus;
use cbdc_ledger::checkpoint::{CheckpointError, Loader, RootHasher};
use cbdc_ledger::command::{
    FreezeKind, GovernanceAction, IssuanceKind, IssuanceOrder, OperationKind, PlaceHold, Record, ReverseWaterfall,
};
use cbdc_ledger::encoding::Writer;
use cbdc_ledger::member::Role;
use cbdc_ledger::policy::{Capitalisation, FeeTo, KeyRates, PolicyChange, ReserveRules, WorkPerBlock};
use cbdc_ledger::programme::{Classes, Cohort, Funding, Grant, Purpose};
use cbdc_ledger::time::LedgerDay;
use cbdc_ledger::{BankId, Class, Command, FormatVersion, Ledger, MemberId};

use super::network::{
    DAY_MS, HOUR_MS, Network, amount, bank_status, capitalisation, key, member, payee_fee, payer_fee, remuneration,
    velocity,
};

/// One command of each kind, really signed, and their network. Each is its signer's next, so that in one block some
/// settle and some are refused for a used number.
pub fn commands() -> (Network, Vec<(&'static str, Command)>) {
    commands_under(FormatVersion::One)
}

/// Like [`commands`], in a network that begins with a version of the formats.
pub fn commands_under(format: FormatVersion) -> (Network, Vec<(&'static str, Command)>) {
    let mut network = Network::build(|genesis| genesis.format = format);
    let alice = network.open(1, "alice", Class::HOUSEHOLD);
    let shop = network.open(2, "shop", Class::MERCHANT);
    network.fund(alice, 1_000);
    network.must_settle(network.link(alice, 1));
    let placed = network.must_settle(network.hold(alice, shop, 120));
    let top_up = {
        let top_up: ReverseWaterfall = network.reverse_waterfall(1, 600, network.transfer(alice, shop, 1_300));
        let transfer = top_up.transfer.record.sign(network.id(), &key("wallet of alice at 1"));
        network.sign(ReverseWaterfall { transfer, ..top_up }, "bank-1")
    };
    let order = |kind, minor| {
        let mut order: IssuanceOrder = network.issuance(kind, 1, minor);
        order.request = order.request.record.sign(network.id(), &key("bank-1"));
        network.sign(order, "operator-0")
    };
    let operation = |kind, minor| network.sign(network.operation(kind, 1, minor), "operator-0");
    let proposal = network.proposal(vec![
        GovernanceAction::Policy(PolicyChange::SupplyCap(Some(amount(1_000_000)))),
        GovernanceAction::Policy(PolicyChange::IssuanceQuota(None)),
        GovernanceAction::Policy(PolicyChange::IssuanceQuotaOfBank { bank: BankId(2), quota: Some(amount(5_000)) }),
        GovernanceAction::Policy(PolicyChange::HoldingLimit { class: Class::HOUSEHOLD, limit: Some(amount(300_000)) }),
        GovernanceAction::Policy(PolicyChange::PaymentLimit { class: Class::MERCHANT, limit: Some(amount(100_000)) }),
        GovernanceAction::Policy(PolicyChange::DayLimit { class: Class::BUSINESS, limit: None }),
        GovernanceAction::AdmitMember(member(Role::Bank, 4)),
        GovernanceAction::ReplaceKeys {
            role: Role::Bank,
            id: MemberId(1),
            signing_key: key("new").public_key(),
            node_key: None,
        },
        GovernanceAction::DismissMember { role: Role::Auditor, id: MemberId(0) },
        GovernanceAction::Threshold(3),
        GovernanceAction::HeaderSignatures(1),
        GovernanceAction::Policy(PolicyChange::MonthLimit { class: Class::HOUSEHOLD, limit: Some(amount(500_000)) }),
        velocity(Class::HOUSEHOLD, 10, HOUR_MS),
        remuneration(Class::HOUSEHOLD, &[(300_000, 20_000), (500_000, 0)], -10_000),
        capitalisation(Capitalisation::Daily),
        payer_fee(Class::MERCHANT, FeeTo::Equity, &[(5_000, 10, 0), (100_000, 25, 500)]),
        payee_fee(Class::MERCHANT, FeeTo::PayeeBank, &[(100_000, 0, 2_000)]),
        GovernanceAction::Policy(PolicyChange::KeyRates(KeyRates {
            policy: RatePpm(20_000),
            deposit: RatePpm(-5_000),
            lending: RatePpm(25_000),
            penalty: RatePpm(50_000),
        })),
        GovernanceAction::Policy(PolicyChange::Reserves(ReserveRules {
            rate_up_to: RatePpm(20_000),
            rate_above: RatePpm(-5_000),
            requirement_ppm: 10_000,
            period_days: 42,
            shortfall_rate: RatePpm(45_000),
        })),
        GovernanceAction::Policy(PolicyChange::Haircut { ppm: 120_000 }),
        GovernanceAction::Policy(PolicyChange::WorkPerBlock(WorkPerBlock(1_000))),
        GovernanceAction::Grant(Grant {
            cohort: Cohort { class: Class::HOUSEHOLD, bank: None, first: 0 },
            amount_each: amount(10_000),
            purpose: None,
        }),
        GovernanceAction::Grant(Grant {
            cohort: Cohort { class: Class::HOUSEHOLD, bank: Some(BankId(1)), first: 100 },
            amount_each: amount(5_000),
            purpose: Some(Purpose {
                expires_at: network.now.plus_ms(30 * DAY_MS),
                payees: Classes::of([Class::MERCHANT, Class::BUSINESS]),
                funding: Funding::Government,
            }),
        }),
        bank_status(3, BankStatus::Suspended),
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
        ("propose", network.sign(proposal, "committee-0")),
        ("vote", network.sign(network.ballot(1, true, 1), "committee-1")),
        (
            "hold",
            network.sign(PlaceHold { max_fee: amount(3), ..network.hold(alice, shop, 90) }, "wallet of alice at 1"),
        ),
        ("capture", network.sign(network.capture(2, placed, 110), "bank-2")),
        ("void", network.sign(network.void(2, placed), "bank-2")),
        ("reverse-waterfall", top_up),
        ("link-bank", network.sign(network.link(alice, 2), "wallet of alice at 1")),
        ("move-wallet", network.sign(network.moving(alice, 3), "wallet of alice at 1")),
        ("designate-wallet", network.sign(network.designation(alice), "wallet of alice at 1")),
        ("reclassify", network.sign(network.reclassification("alice", Class::BUSINESS), "registrar-0")),
        ("withdraw-banknotes", operation(OperationKind::WithdrawBanknotes, 30)),
        ("deposit-banknotes", operation(OperationKind::DepositBanknotes, 20)),
        ("collect-for-government", operation(OperationKind::CollectForGovernment, 70)),
        ("pay-from-government", operation(OperationKind::PayFromGovernment, 60)),
        ("buy-securities", operation(OperationKind::BuySecurities, 800)),
        ("sell-securities", operation(OperationKind::SellSecurities, 700)),
        ("place-deposit", operation(OperationKind::PlaceDeposit, 55)),
        ("lend", operation(OperationKind::Lend, 15)),
        ("refinance", network.sign(network.refinancing(1, 25, -1_500, LedgerDay(20_800)), "operator-0")),
        ("pledge", operation(OperationKind::Pledge, 5_000)),
        ("release-collateral", operation(OperationKind::ReleaseCollateral, 400)),
        ("deposit-statement", network.sign(network.statement(1, 750_000), "bank-1")),
        ("seize", network.sign(network.seizure(alice, 45, shop), "order-0")),
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
pub fn chunks_of(network: &mut Network) -> (Vec<Vec<u8>>, [u8; 32]) {
    let mut chunks = Vec::new();
    let keep = |chunk| {
        chunks.push(chunk);
        Ok::<_, ()>(())
    };
    let root = network.ledger.snapshot().write(keep).unwrap();
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
