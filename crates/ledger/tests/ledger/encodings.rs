//! The layout of everything signed or stored, pinned; nothing else is accepted instead.
//!
//! `tests/fixtures/NAME.hex` holds the bytes of one record of each kind. A change of layout breaks what was signed
//! and stored before, so it needs a new version at a voted height. Only if that is what you mean, regenerate with
//! `UPDATE_FIXTURES=1 cargo test --release -p cbdc-ledger --test ledger encodings` and read the difference.

use std::path::Path;

use crate::model;
use crate::model::network::{Network, account, amount, key, proposal, unsigned};
use crate::model::samples::{chunks_of, commands, encoded, load};
use cbdc_ledger::amount::RatePpm;
use cbdc_ledger::bank_position::BankStatus;
use cbdc_ledger::block::command_leaf;
use cbdc_ledger::checkpoint::Loader;
use cbdc_ledger::command::{
    Ballot, BankConsent, Certificate, CertifiedFor, Choice, CloseWallet, ConsentStatement, DepositStatement,
    DesignateWallet, Domain, FLAG_REVERSE_WATERFALL, FreezeKind, FreezeOrder, GovernanceAction, GovernanceProposal,
    Head, IssuanceKind, IssuanceOrder, IssuanceRequest, Kind, LinkBank, MoveWallet, OpenWallet, Operation,
    OperationKind, Payment, PaymentKind, PlaceHold, Reclassify, ReleaseHold, ReleaseKind, ReplaceKey, ReservesTransfer,
    ReverseWaterfall, SeizeOrder, SessionStatement, SignedSession, Statement, signing_prefix,
};
use cbdc_ledger::command_batch::BatchError;
use cbdc_ledger::encoding::{DecodeError, Reader, Writer, hex, hex_decode};
use cbdc_ledger::member::{Member, Role};
use cbdc_ledger::policy::{
    Capitalisation, FeeBracket, FeeSchedule, FeeTo, KeyRates, PolicyChange, ReserveRules, Tier, Tiers, VelocityRule,
    WorkPerBlock,
};
use cbdc_ledger::programme::{Classes, Cohort, Funding, Grant, Purpose};
use cbdc_ledger::time::LedgerDay;
use cbdc_ledger::{
    Account, AccountId, Amount, BankId, BlockProposal, Class, Command, CommandBatch, FormatVersion, Genesis, Header,
    HolderId, MemberId, Outcome, PublicKey, Reason, Signature, Signed, SignedHeader, SupplyTerms, Timestamp,
    VerifiedProposal,
};
use proptest::prelude::*;

/// A ledger to which one block of every kind of command was applied, with that block's parts.
fn fixtures() -> Vec<(String, Vec<u8>)> {
    let (mut network, commands) = commands();
    let mut fixtures: Vec<(String, Vec<u8>)> =
        commands.iter().map(|(name, command)| (format!("command-{name}"), command.to_bytes())).collect();
    let all: Vec<Command> = commands.into_iter().map(|(_, command)| command).collect();
    let bytes = proposal(network.now, &all);
    let block = network.ledger.apply(&VerifiedProposal::from_own_log(&bytes).unwrap());
    let signed = SignedHeader::sign(block.header, network.id(), MemberId(0), &key("central-bank-0"));
    let refusal = Outcome::refused(Reason::HoldingLimit, 300_000, 300_001);
    let alice = *network.ledger.account(account(1, 1)).unwrap();
    let (holder, class, key_of_holder) = (HolderId([7; 16]), Class::MERCHANT, key("new").public_key());
    let valid_until = Timestamp(1_800_000_000_000);
    let opening = CertifiedFor::Open(BankId(2));
    let replacement = CertifiedFor::ReplaceKey { account: account(1, 1), version: 3 };
    let statement = |purpose| Statement { purpose, holder, class, key: key_of_holder, valid_until }.to_bytes(5);
    let (chunks, root) = chunks_of(&mut network);
    let mut add = |name: &str, bytes: Vec<u8>| fixtures.push((name.into(), bytes));
    let (second, newest) = version_2();
    add("genesis-2", second.to_bytes());
    add("header-2", newest.to_bytes());
    add("header-2-hash", newest.hash().into());
    add("genesis", network.ledger.genesis().to_bytes());
    add("network-id", network.id().0.into());
    add("proposal", bytes);
    add("header", block.header.to_bytes());
    add("header-hash", block.header.hash().into());
    add("signed-header", encoded(|out| signed.encode(out)));
    add("outcome", encoded(|out| refusal.encode(out)));
    add("account", encoded(|out| alice.encode(out)));
    add("books", encoded(|out| network.ledger.books().encode(out)));
    add("certificate-statement-open", statement(opening));
    let (kind, bank) = (Kind::MoveWallet, BankId(2));
    let consent = ConsentStatement { kind, bank, account: account(1, 1), valid_until };
    add("consent-statement", consent.to_bytes(5));
    add("session-statement", session(&network).to_bytes().into());
    add("certificate-statement-replace-key", statement(replacement));
    add("receipt-leaf", command_leaf(3, &all[3].to_bytes(), &block.outcomes[3]).into());
    add("checkpoint-root", root.into());
    // The state, section 5, holds a window of 8 KiB for each member; the root pins it.
    for (name, section) in [("holders", 2), ("bank", 3), ("accounts", 4)] {
        let chunk = chunks.iter().find(|chunk| chunk[0] == section).unwrap();
        add(&format!("checkpoint-{name}"), chunk.clone());
    }
    fixtures
}

/// A session of a wallet, signed.
fn session(network: &Network) -> SignedSession {
    let (bank, account, expires_at) = (BankId(2), account(1, 1), Timestamp(1_800_000_000_000));
    let statement = SessionStatement { bank, key_version: 5, account, expires_at, challenge: [9; 32] };
    statement.sign(network.id(), &key("alice"))
}

#[test]
fn a_session_is_opened_by_its_own_key_for_its_own_network_bank_and_challenge_alone() {
    let network = commands().0;
    let (signed, alice) = (session(&network), key("alice").public_key());
    assert!(signed.is_signed_by(network.id(), alice));
    assert!(!signed.is_signed_by(network.id(), key("bob").public_key()));
    assert!(!signed.is_signed_by(version_2().0.network(), alice));
    for at in (2..56).filter(|at| !(14..16).contains(at)) {
        let mut changed = signed.to_bytes();
        changed[at] ^= 1;
        let changed = SignedSession::from_bytes(&changed).unwrap();
        assert!(!changed.is_signed_by(network.id(), alice), "byte {at}");
    }
    // A signature over the same bytes for another purpose does not count either.
    let prefix = signing_prefix(Domain::Command, network.id());
    let signature = key("alice").sign([&prefix[..], &signed.statement.to_bytes()]);
    assert!(!SignedSession { signature, ..signed }.is_signed_by(network.id(), alice));
}

/// A network of version 2 of the formats, and the header of its first block, a checkpoint block.
fn version_2() -> (Genesis, Header) {
    let genesis = Genesis { format: FormatVersion::Two, ..model::network::genesis() };
    let mut ledger = cbdc_ledger::Ledger::new(genesis.clone()).unwrap();
    let mut builder = cbdc_ledger::block_proposal::BlockProposalBuilder::default();
    builder.ask_for_checkpoint();
    let block = ledger.apply(&VerifiedProposal::from_built(&builder.finish(genesis.created_at)));
    (genesis, block.header)
}

#[test]
fn encodings_are_those_of_the_fixtures() {
    let folder = Path::new("tests/fixtures");
    let update = std::env::var_os("UPDATE_FIXTURES").is_some();
    let mut names = std::collections::BTreeSet::new();
    for (name, bytes) in fixtures() {
        let path = folder.join(format!("{name}.hex"));
        let lines: Vec<String> = bytes.chunks(32).map(hex).collect();
        let text = lines.join("\n") + "\n";
        if update {
            std::fs::write(&path, &text).unwrap();
        }
        let pinned = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, pinned, "the encoding of {name} changed: see the head of this file");
        names.insert(format!("{name}.hex"));
    }
    let found =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names, found, "fixtures that nothing pins");
}

#[test]
fn pinned_bytes_read_back() {
    let read = |name: &str| {
        let path = format!("tests/fixtures/{name}.hex");
        hex_decode(&std::fs::read_to_string(path).unwrap().replace('\n', "")).unwrap()
    };
    for (name, command) in commands().1 {
        assert_eq!(Command::from_bytes(&read(&format!("command-{name}"))), Ok(command), "{name}");
    }
    let network = commands().0;
    assert_eq!(SignedSession::from_bytes(&read("session-statement")), Ok(session(&network)));
    assert_eq!(Genesis::from_bytes(&read("genesis")).unwrap(), model::network::genesis());
    assert_eq!(Header::from_bytes(&read("header")).unwrap().hash().to_vec(), read("header-hash"));
    let (genesis, header) = version_2();
    assert_eq!(Genesis::from_bytes(&read("genesis-2")).unwrap(), genesis);
    assert_eq!(Header::from_bytes(&read("header-2")).unwrap(), header);
}

// One encoding per value, and no other.

type Check = fn(&[u8]) -> Option<Vec<u8>>;

/// The readers of each kind of bytes, as functions that decode and encode again.
fn readers() -> Vec<(&'static str, Vec<u8>, Check)> {
    fn reread<T>(
        bytes: &[u8],
        read: fn(&mut Reader<'_>) -> Result<T, DecodeError>,
        write: fn(&T, &mut Writer),
    ) -> Option<Vec<u8>> {
        let mut input = Reader::new("test", bytes);
        let value = read(&mut input).ok()?;
        input.finish().ok()?;
        Some(encoded(|out| write(&value, out)))
    }
    let fixtures = fixtures();
    let of = |name: &str| fixtures.iter().find(|(found, _)| found == name).unwrap().1.clone();
    let (_, commands) = commands();
    let mut readers: Vec<(&'static str, Vec<u8>, Check)> = commands
        .into_iter()
        .map(|(name, command)| {
            (name, command.to_bytes(), (|bytes| Some(Command::from_bytes(bytes).ok()?.to_bytes())) as Check)
        })
        .collect();
    readers.push(("genesis", of("genesis"), |bytes| Some(Genesis::from_bytes(bytes).ok()?.to_bytes())));
    readers.push(("header", of("header"), |bytes| Some(Header::from_bytes(bytes).ok()?.to_bytes())));
    readers.push(("header of version 2", of("header-2"), |bytes| Some(Header::from_bytes(bytes).ok()?.to_bytes())));
    readers.push(("signed header", of("signed-header"), |bytes| {
        reread(bytes, SignedHeader::decode, SignedHeader::encode)
    }));
    readers.push(("outcome", of("outcome"), |bytes| reread(bytes, Outcome::decode, Outcome::encode)));
    readers.push(("account", of("account"), |bytes| reread(bytes, Account::decode, Account::encode)));
    readers.push(("session statement", of("session-statement"), |bytes| {
        Some(SignedSession::from_bytes(bytes).ok()?.to_bytes().into())
    }));
    readers.push(("proposal", of("proposal"), |bytes| {
        let read = BlockProposal::decode(bytes).ok()?;
        let mut again = proposal(read.time, &read.commands);
        again[1] = u8::from(read.asks_for_checkpoint);
        Some(again)
    }));
    readers
}

#[test]
fn bytes_cut_short_or_continued_are_refused() {
    for (name, bytes, reread) in readers() {
        assert_eq!(reread(&bytes).as_ref(), Some(&bytes), "{name}");
        for length in 0..bytes.len() {
            assert_eq!(reread(&bytes[..length]), None, "{name} cut to {length}");
        }
        for more in [0, 1, 255] {
            assert_eq!(reread(&[&bytes[..], &[more]].concat()), None, "{name} continued by {more}");
        }
    }
}

#[test]
fn no_bit_of_an_encoding_is_ignored() {
    for (name, bytes, reread) in readers() {
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Some(again) = reread(&flipped) {
                assert_eq!(hex(&again), hex(&flipped), "{name}, bit {bit}");
            }
        }
    }
}

#[test]
fn reserved_bytes_must_be_zero_and_versions_known() {
    // First byte and number of bytes.
    let reserved: [(&str, &[(usize, usize)]); 34] = [
        ("transfer", &[]),
        ("defund", &[]),
        ("fund", &[]),
        ("open-wallet", &[(27, 5), (82, 2)]),
        ("close-wallet", &[]),
        ("replace-key", &[(33, 3), (74, 2)]),
        ("issue", &[(26, 6), (58, 6)]),
        ("redeem", &[(26, 6), (58, 6)]),
        ("reserves-transfer", &[(28, 4)]),
        ("freeze", &[(26, 6)]),
        ("unfreeze", &[(26, 6)]),
        ("propose", &[(28, 4)]),
        ("vote", &[(27, 5)]),
        ("hold", &[]),
        ("capture", &[(26, 6)]),
        ("void", &[(26, 6), (40, 8)]),
        ("reverse-waterfall", &[(26, 6)]),
        ("link-bank", &[(34, 6), (44, 4)]),
        ("move-wallet", &[(34, 6), (44, 4)]),
        ("designate-wallet", &[]),
        ("reclassify", &[(27, 5)]),
        ("withdraw-banknotes", &[(28, 4), (40, 8)]),
        ("deposit-banknotes", &[(28, 4), (40, 8)]),
        ("collect-for-government", &[(28, 4), (40, 8)]),
        ("pay-from-government", &[(28, 4), (40, 8)]),
        ("buy-securities", &[(40, 8)]),
        ("sell-securities", &[(40, 8)]),
        ("place-deposit", &[(28, 4), (40, 8)]),
        ("lend", &[(28, 4), (40, 8)]),
        ("refinance", &[(28, 4)]),
        ("pledge", &[(28, 4), (40, 8)]),
        ("release-collateral", &[(28, 4), (40, 8)]),
        ("deposit-statement", &[(26, 6)]),
        ("seize", &[(26, 6)]),
    ];
    let (_, commands) = commands();
    for (name, ranges) in reserved {
        let bytes = commands.iter().find(|(found, _)| *found == name).unwrap().1.to_bytes();
        // Version and flags come first in every record.
        for at in [(0, 1), (2, 2)].iter().chain(ranges).flat_map(|(first, count)| *first..first + count) {
            for bit in 0..8 {
                let mut spoilt = bytes.clone();
                spoilt[at] ^= 1 << bit;
                // The only flag.
                let allows_reverse_waterfall = name == "transfer" && (at, bit) == (2, 0);
                assert_eq!(
                    Command::from_bytes(&spoilt).is_ok(),
                    allows_reverse_waterfall,
                    "{name}, byte {at}, bit {bit}"
                );
            }
        }
    }
}

#[test]
fn a_checkpoint_out_of_order_or_of_another_root_is_refused() {
    let (mut network, _) = commands();
    let (chunks, root) = chunks_of(&mut network);
    assert_eq!(load(&chunks).unwrap().tip_hash(), network.ledger.tip_hash());
    assert_eq!(chunks.iter().map(|chunk| chunk[0]).collect::<Vec<_>>(), [1, 5, 2, 3, 4, 3, 4, 3, 4]);
    for (name, order) in [
        ("no main chunk", vec![1, 2, 3, 4, 5, 6, 7, 8]),
        ("main chunk twice", vec![0, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("no state", vec![0, 2, 3, 4, 5, 6, 7, 8]),
        ("no holders", vec![0, 1, 3, 4, 5, 6, 7, 8]),
        ("holders twice", vec![0, 1, 2, 2, 3, 4, 5, 6, 7, 8]),
        ("accounts before their bank", vec![0, 1, 2, 4, 3, 5, 6, 7, 8]),
        ("accounts twice", vec![0, 1, 2, 3, 4, 4, 5, 6, 7, 8]),
        ("a bank without accounts", vec![0, 1, 2, 3, 4, 5, 6, 7]),
        ("a bank is missing", vec![0, 1, 2, 3, 4, 5, 6]),
        ("nothing", vec![]),
    ] {
        let chosen: Vec<Vec<u8>> = order.iter().map(|at: &usize| chunks[*at].clone()).collect();
        assert!(load(&chosen).is_err(), "{name}");
    }
    let mut loader = Loader::default();
    chunks.iter().for_each(|chunk| loader.chunk(chunk).unwrap());
    let mut other = root;
    other[0] ^= 1;
    assert!(loader.finish(other).is_err());
}

// Random values and random bytes.

fn heads() -> impl Strategy<Value = Head> {
    any::<(u32, u64, u64)>().prop_map(|(key_version, sequence, until)| Head {
        flags: 0,
        key_version,
        sequence,
        valid_until: Timestamp(until),
    })
}

fn accounts() -> impl Strategy<Value = AccountId> {
    any::<(u16, u32)>().prop_map(|(bank, serial)| account(bank, serial))
}

fn bytes32() -> impl Strategy<Value = [u8; 32]> {
    any::<[u8; 32]>()
}

fn signatures() -> impl Strategy<Value = Signature> {
    (bytes32(), bytes32()).prop_map(|(first, second)| Signature([first, second].concat().try_into().unwrap()))
}

fn limits() -> impl Strategy<Value = Option<Amount>> {
    any::<Option<u64>>().prop_map(|limit| limit.map(Amount::from_minor))
}

fn certificates() -> impl Strategy<Value = Certificate> {
    (any::<(u16, u32, u64)>(), signatures()).prop_map(|((registrar, registrar_key_version, until), signature)| {
        let (registrar, valid_until) = (MemberId(registrar), Timestamp(until));
        Certificate { registrar, registrar_key_version, valid_until, signature }
    })
}

fn consents() -> impl Strategy<Value = BankConsent> {
    (any::<(u32, u64)>(), signatures()).prop_map(|((bank_key_version, until), signature)| BankConsent {
        bank_key_version,
        valid_until: Timestamp(until),
        signature,
    })
}

fn rates() -> impl Strategy<Value = RatePpm> {
    any::<i32>().prop_map(RatePpm)
}

fn tiers() -> impl Strategy<Value = Tiers> {
    (prop::collection::btree_map(any::<u64>(), rates(), 0..=3), rates()).prop_map(|(bounded, above)| {
        let bounded: Vec<Tier> =
            bounded.into_iter().map(|(up_to, rate)| Tier { up_to: Amount::from_minor(up_to), rate }).collect();
        Tiers::new(&bounded, above).unwrap()
    })
}

fn schedules() -> impl Strategy<Value = FeeSchedule> {
    let brackets = prop::collection::btree_map(any::<u64>(), (any::<u64>(), 0..=1_000_000u32), 0..=4);
    (any::<bool>(), brackets).prop_map(|(to_bank, brackets)| {
        let bracket = |(up_to, (flat, share_ppm))| FeeBracket {
            up_to: Amount::from_minor(up_to),
            flat: Amount::from_minor(flat),
            share_ppm,
        };
        let brackets: Vec<FeeBracket> = brackets.into_iter().map(bracket).collect();
        FeeSchedule::new(if to_bank { FeeTo::PayeeBank } else { FeeTo::Equity }, &brackets).unwrap()
    })
}

fn grants() -> impl Strategy<Value = Grant> {
    let purposes = (any::<(u64, u8, bool)>()).prop_map(|(expires_at, payees, government)| Purpose {
        expires_at: Timestamp(expires_at),
        payees: Classes(payees),
        funding: if government { Funding::Government } else { Funding::Equity },
    });
    let bank = prop::option::of((1..=u16::MAX).prop_map(BankId));
    (0u8..8, bank, any::<(u32, u64)>(), prop::option::of(purposes)).prop_map(
        |(class, bank, (first, minor), purpose)| Grant {
            cohort: Cohort { class: Class(class), bank, first },
            amount_each: amount(minor),
            purpose,
        },
    )
}

/// Changes of policy besides limiting amounts.
fn rule_changes() -> impl Strategy<Value = PolicyChange> {
    let class = || (0u8..8).prop_map(Class);
    let rule = (1..=u16::MAX, any::<u64>()).prop_map(|(payments, window_ms)| VelocityRule { payments, window_ms });
    let key_rates = (rates(), rates(), rates(), rates()).prop_map(|(policy, deposit, lending, penalty)| KeyRates {
        policy,
        deposit,
        lending,
        penalty,
    });
    let reserves = (rates(), rates(), any::<(u32, u16)>(), rates()).prop_map(
        |(rate_up_to, rate_above, (requirement_ppm, period_days), shortfall_rate)| ReserveRules {
            rate_up_to,
            rate_above,
            requirement_ppm,
            period_days,
            shortfall_rate,
        },
    );
    prop_oneof![
        (class(), prop::option::of(rule)).prop_map(|(class, rule)| PolicyChange::Velocity { class, rule }),
        (class(), tiers()).prop_map(|(class, tiers)| PolicyChange::Remuneration { class, tiers }),
        Just(PolicyChange::Capitalisation(Capitalisation::Daily)),
        Just(PolicyChange::Capitalisation(Capitalisation::Monthly)),
        (class(), schedules()).prop_map(|(class, schedule)| PolicyChange::PayerFee { class, schedule }),
        (class(), schedules()).prop_map(|(class, schedule)| PolicyChange::PayeeFee { class, schedule }),
        key_rates.prop_map(PolicyChange::KeyRates),
        reserves.prop_map(PolicyChange::Reserves),
        any::<u32>().prop_map(|ppm| PolicyChange::Haircut { ppm }),
        any::<u32>().prop_map(|work| PolicyChange::WorkPerBlock(WorkPerBlock(work))),
    ]
}

fn actions() -> impl Strategy<Value = GovernanceAction> {
    let roles = || prop::sample::select(Role::ALL.to_vec());
    let class = || (0u8..8).prop_map(Class);
    let node_key = || prop::option::of(bytes32()).prop_map(|key| key.map(PublicKey));
    prop_oneof![
        limits().prop_map(|limit| GovernanceAction::Policy(PolicyChange::SupplyCap(limit))),
        limits().prop_map(|limit| GovernanceAction::Policy(PolicyChange::IssuanceQuota(limit))),
        (any::<u16>(), limits()).prop_map(|(bank, quota)| GovernanceAction::Policy(
            PolicyChange::IssuanceQuotaOfBank { bank: BankId(bank), quota }
        )),
        (class(), limits())
            .prop_map(|(class, limit)| GovernanceAction::Policy(PolicyChange::HoldingLimit { class, limit })),
        (class(), limits())
            .prop_map(|(class, limit)| GovernanceAction::Policy(PolicyChange::PaymentLimit { class, limit })),
        (class(), limits())
            .prop_map(|(class, limit)| GovernanceAction::Policy(PolicyChange::DayLimit { class, limit })),
        (roles(), any::<u16>(), "[a-zäöü]{1,20}", bytes32(), node_key()).prop_map(|(role, id, name, key, node_key)| {
            GovernanceAction::AdmitMember(Member {
                role,
                id: MemberId(id),
                name,
                signing_key: PublicKey(key),
                node_key,
            })
        }),
        (roles(), any::<u16>(), bytes32(), node_key()).prop_map(|(role, id, key, node_key)| {
            GovernanceAction::ReplaceKeys { role, id: MemberId(id), signing_key: PublicKey(key), node_key }
        }),
        (roles(), any::<u16>()).prop_map(|(role, id)| GovernanceAction::DismissMember { role, id: MemberId(id) }),
        any::<u16>().prop_map(GovernanceAction::Threshold),
        any::<u16>().prop_map(GovernanceAction::HeaderSignatures),
        Just(GovernanceAction::FormatVersion(FormatVersion::Two)),
        (class(), limits())
            .prop_map(|(class, limit)| GovernanceAction::Policy(PolicyChange::MonthLimit { class, limit })),
        rule_changes().prop_map(GovernanceAction::Policy),
        grants().prop_map(GovernanceAction::Grant),
        (any::<u16>(), prop::sample::select(BankStatus::ALL.to_vec()))
            .prop_map(|(bank, status)| GovernanceAction::BankStatus { bank: BankId(bank), status }),
        any::<(u16, u16)>()
            .prop_map(|(from, to)| GovernanceAction::MoveCustomers { from: BankId(from), to: BankId(to) }),
    ]
}

fn signed<R>(record: R, signature: Signature) -> Command
where
    Command: From<Signed<R>>,
{
    Signed { record, signature }.into()
}

fn any_command() -> impl Strategy<Value = Command> {
    let kinds = prop::sample::select(vec![PaymentKind::Transfer, PaymentKind::Defund, PaymentKind::Fund]);
    let payments = (kinds, heads(), accounts(), accounts(), any::<(u64, u64, [u8; 16])>(), signatures()).prop_map(
        |(kind, head, from, to, (minor, fee, reference), signature)| {
            signed(Payment { kind, head, from, to, amount: amount(minor), max_fee: amount(fee), reference }, signature)
        },
    );
    let openings = (heads(), any::<(u16, u8, [u8; 16])>(), bytes32(), certificates(), signatures()).prop_map(
        |(head, (bank, class, holder), key, certificate, signature)| {
            let (bank, class, holder, key) = (BankId(bank), Class(class), HolderId(holder), PublicKey(key));
            let agreement = certificate.signature;
            signed(OpenWallet { head, bank, class, holder, key, certificate, agreement }, signature)
        },
    );
    let closings = (heads(), accounts(), signatures())
        .prop_map(|(head, account, signature)| signed(CloseWallet { head, account }, signature));
    let replacements = (heads(), accounts(), any::<u32>(), bytes32(), certificates(), signatures()).prop_map(
        |(head, account, version, key, certificate, signature)| {
            let (class, key, agreement) = (Class::MERCHANT, PublicKey(key), signature);
            signed(ReplaceKey { head, account, class, version, key, certificate, agreement }, signature)
        },
    );
    let issuances = (any::<bool>(), heads(), heads(), any::<(u16, u16, u64)>(), signatures(), signatures()).prop_map(
        |(issue, head, asked, (operator, bank, minor), first, second)| {
            let kind = if issue { IssuanceKind::Issue } else { IssuanceKind::Redeem };
            let record = IssuanceRequest { kind, head: asked, bank: BankId(bank), amount: amount(minor) };
            let request = Signed { record, signature: first };
            signed(IssuanceOrder { head, operator: MemberId(operator), request }, second)
        },
    );
    let reserves =
        (heads(), any::<(u16, u16, u64)>(), signatures()).prop_map(|(head, (from, to, minor), signature)| {
            signed(ReservesTransfer { head, from: BankId(from), to: BankId(to), amount: amount(minor) }, signature)
        });
    let orders = (any::<bool>(), heads(), accounts(), any::<(u16, u64, [u8; 16])>(), signatures()).prop_map(
        |(freeze, head, account, (court, minor, order), signature)| {
            let kind = if freeze { FreezeKind::Freeze } else { FreezeKind::Unfreeze };
            signed(FreezeOrder { kind, head, court: MemberId(court), account, amount: amount(minor), order }, signature)
        },
    );
    let proposals = (heads(), any::<(u16, u64, u64)>(), prop::collection::vec(actions(), 1..=64), signatures())
        .prop_map(|(head, (member, effective_at, expires_at), actions, signature)| {
            let (effective_at, expires_at) = (Timestamp(effective_at), Timestamp(expires_at));
            signed(GovernanceProposal { head, member: MemberId(member), effective_at, expires_at, actions }, signature)
        });
    let choices = prop::sample::select(vec![Choice::Reject, Choice::Approve, Choice::Withdraw]);
    let votes = (heads(), any::<(u16, u64)>(), choices, signatures()).prop_map(
        |(head, (member, proposal), choice, signature)| {
            signed(Ballot { head, member: MemberId(member), choice, proposal }, signature)
        },
    );
    prop_oneof![
        2 => prop_oneof![payments, openings, closings, replacements, issuances, reserves, orders, proposals, votes],
        1 => any_command_of_instruments(),
    ]
}

/// Holds, waterfalls, consents, classes, seizures and the operations desk.
fn any_command_of_instruments() -> impl Strategy<Value = Command> {
    let holds = (heads(), accounts(), accounts(), any::<(u64, u64, u64, [u8; 16])>(), signatures()).prop_map(
        |(head, from, to, (maximum, max_fee, expires_at, reference), signature)| {
            let (maximum, max_fee, expires_at) = (amount(maximum), amount(max_fee), Timestamp(expires_at));
            signed(PlaceHold { head, from, to, maximum, max_fee, expires_at, reference }, signature)
        },
    );
    let releases = (heads(), any::<(bool, u16, u64, u64)>(), signatures()).prop_map(
        |(head, (captures, bank, hold, minor), signature)| {
            let (kind, minor) = if captures { (ReleaseKind::Capture, minor) } else { (ReleaseKind::Void, 0) };
            signed(ReleaseHold { kind, head, bank: BankId(bank), hold, amount: amount(minor) }, signature)
        },
    );
    let top_ups =
        ((heads(), heads()), (accounts(), accounts()), any::<(u16, u64, u64, u64)>(), signatures(), signatures())
            .prop_map(|((head, inner), (from, to), (bank, maximum, minor, max_fee), first, second)| {
                let inner = Head { flags: FLAG_REVERSE_WATERFALL, ..inner };
                let (kind, max_fee, reference) = (PaymentKind::Transfer, amount(max_fee), [7; 16]);
                let record = Payment { kind, head: inner, from, to, amount: amount(minor), max_fee, reference };
                let transfer = Signed { record, signature: first };
                signed(ReverseWaterfall { head, bank: BankId(bank), maximum: amount(maximum), transfer }, second)
            });
    let links = (heads(), accounts(), any::<u16>(), consents(), signatures()).prop_map(
        |(head, account, bank, consent, signature)| {
            let consent = Some(consent).filter(|_| bank != 0);
            signed(LinkBank { head, account, bank: BankId(bank), consent }, signature)
        },
    );
    let moves = (heads(), accounts(), any::<u16>(), consents(), signatures()).prop_map(
        |(head, account, bank, consent, signature)| {
            signed(MoveWallet { head, account, bank: BankId(bank), consent }, signature)
        },
    );
    let designations = (heads(), accounts(), signatures())
        .prop_map(|(head, account, signature)| signed(DesignateWallet { head, account }, signature));
    let classes = (heads(), any::<(u16, u8, [u8; 16])>(), signatures()).prop_map(
        |(head, (registrar, class, holder), signature)| {
            let (registrar, class, holder) = (MemberId(registrar), Class(class), HolderId(holder));
            signed(Reclassify { head, registrar, class, holder }, signature)
        },
    );
    let seizures = (heads(), accounts(), accounts(), any::<(u16, u64, [u8; 16])>(), signatures()).prop_map(
        |(head, account, to, (court, minor, order), signature)| {
            signed(
                SeizeOrder {
                    head,
                    court: MemberId(court),
                    account,
                    amount: amount(minor),
                    to,
                    released: amount(minor / 2),
                    order,
                },
                signature,
            )
        },
    );
    let kinds = prop::sample::select(OperationKind::ALL.to_vec());
    let operations = (kinds, heads(), any::<(u16, u16, u64, u32, i32, u32)>(), signatures()).prop_map(
        |(kind, head, (operator, bank, minor, price, rate, matures), signature)| {
            let has_price = matches!(kind, OperationKind::BuySecurities | OperationKind::SellSecurities);
            let has_terms = kind == OperationKind::Refinance;
            let operation = Operation {
                kind,
                head,
                operator: MemberId(operator),
                bank: BankId(bank),
                amount: amount(minor),
                price_ppm: if has_price { price } else { 0 },
                rate: RatePpm(if has_terms { rate } else { 0 }),
                matures: LedgerDay(if has_terms { matures } else { 0 }),
            };
            signed(operation, signature)
        },
    );
    let statements = (heads(), any::<(u16, u64)>(), signatures()).prop_map(|(head, (bank, minor), signature)| {
        signed(DepositStatement { head, bank: BankId(bank), deposits: amount(minor) }, signature)
    });
    prop_oneof![holds, releases, top_ups, links, moves, designations, classes, seizures, operations, statements]
}

/// Bytes that get past the first checks more often than plain random ones.
fn likely_bytes() -> impl Strategy<Value = Vec<u8>> {
    let kinds = prop::sample::select(cbdc_ledger::command::Kind::ALL.to_vec());
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..500),
        (kinds, prop::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(kind, rest)| { [&[1, kind as u8, 0, 0][..], &rest[..]].concat() }),
        prop::collection::vec(prop_oneof![3 => Just(0u8), 1 => 0u8..6, 1 => any::<u8>()], 0..900)
            .prop_map(|rest| { [&[1][..], &rest[..]].concat() }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_encoded_decodes_to_the_same(
        commands in prop::collection::vec(any_command(), 0..8),
        time in any::<u64>(),
    ) {
        for command in &commands {
            prop_assert_eq!(Command::from_bytes(&command.to_bytes()), Ok(command.clone()));
        }
        let bytes = proposal(Timestamp(time), &commands);
        let read = BlockProposal::decode(&bytes).unwrap();
        prop_assert_eq!((read.time.0, &read.commands[..]), (time, &commands[..]));
        for (index, command) in commands.iter().enumerate() {
            prop_assert_eq!(read.command_bytes(index), Some(&command.to_bytes()[..]));
        }
    }

    #[test]
    fn a_batch_is_its_commands_whatever_is_left_out(
        commands in prop::collection::vec((any_command(), any::<bool>()), 0..12),
        cut in 1usize..20,
    ) {
        let (list, keep): (Vec<Command>, Vec<bool>) = commands.into_iter().unzip();
        let bytes: Vec<u8> = list.iter().flat_map(Command::to_bytes).collect();
        let mut batch = CommandBatch::decode(bytes.clone().into(), list.len()).unwrap();
        prop_assert_eq!((batch.commands(), &batch.bytes()[..]), (&list[..], &bytes[..]));
        if let Some(commands_max) = list.len().checked_sub(1) {
            let found = CommandBatch::decode(bytes.clone().into(), commands_max);
            prop_assert_eq!(found, Err(BatchError::TooMany { commands_max }));
            let found = CommandBatch::decode(bytes[..bytes.len() - cut].to_vec().into(), list.len());
            prop_assert!(
                matches!(found, Err(BatchError::Command { index, .. }) if index == commands_max),
                "{:?}",
                found
            );
        }

        batch.retain(|at| keep[at]);
        let left: Vec<Command> =
            list.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(command, _)| command).collect();
        let bytes: Vec<Vec<u8>> = left.iter().map(Command::to_bytes).collect();
        prop_assert_eq!((batch.commands(), &batch.bytes()[..]), (&left[..], &bytes.concat()[..]));
        prop_assert_eq!(batch.encoded_commands().collect::<Vec<_>>(), bytes);
    }

    #[test]
    fn headers_decode_to_the_same(
        (height, time, count, version, cbdc) in any::<(u64, u64, u32, u32, u64)>(),
        hashes in any::<[[u8; 32]; 6]>(),
        format in prop::sample::select(vec![FormatVersion::One, FormatVersion::Two]),
        terms in any::<[u64; 12]>(),
    ) {
        let terms = terms.map(amount);
        let of_state = |root| if format == FormatVersion::Two { root } else { [0; 32] };
        let header = Header {
            format,
            height: cbdc_ledger::Height(height),
            time: Timestamp(time),
            parent: hashes[0],
            command_count: count,
            commands_root: hashes[1],
            effects_root: hashes[2],
            balances_root: of_state(hashes[3]),
            state_root: of_state(hashes[5]),
            books_digest: hashes[4],
            policy_version: version,
            cbdc: amount(cbdc),
            supply: SupplyTerms {
                issued: terms[0], redeemed: terms[1], reverse_waterfall: terms[2], waterfall: terms[3],
                interest: terms[4], demurrage: terms[5], fees: terms[6], unbacked: terms[7],
                targeted: terms[8], expired: terms[9], offline_loaded: terms[10], offline_unloaded: terms[11],
            },
        };
        prop_assert_eq!(header.to_bytes().len(), cbdc_ledger::block::HEADER_BYTES);
        prop_assert_eq!(Header::from_bytes(&header.to_bytes()), Ok(header));
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in likely_bytes()) {
        let _ = Command::from_bytes(&bytes);
        let _ = Signed::<IssuanceRequest>::from_bytes(&bytes);
        let _ = BlockProposal::decode(&bytes);
        let _ = Header::from_bytes(&bytes);
        let _ = Genesis::from_bytes(&bytes);
        let _ = SignedHeader::decode(&mut Reader::new("test", &bytes));
        let _ = Outcome::decode(&mut Reader::new("test", &bytes));
        let _ = Loader::default().chunk(&bytes);
    }

    #[test]
    fn a_spoilt_genesis_is_refused_or_another_network(at in any::<prop::sample::Index>(), to in any::<[u8; 16]>()) {
        let good = model::network::genesis();
        let mut bytes = good.to_bytes();
        let at = at.index(bytes.len());
        for (byte, to) in bytes[at..].iter_mut().zip(to) {
            *byte = to;
        }
        if let Ok(genesis) = Genesis::from_bytes(&bytes) {
            prop_assert_eq!(genesis.network() == good.network(), genesis == good);
            prop_assert!(cbdc_ledger::Ledger::new(genesis).is_ok());
        }
    }
}

#[test]
fn a_checkpoint_of_many_chunks_loads() {
    let mut network = Network::build(|_| {});
    let opening = |number: u32| {
        let mut open = network.opening(1, &format!("person {number}"), Class::HOUSEHOLD);
        open.head.sequence += u64::from(number);
        unsigned(open)
    };
    let commands: Vec<Command> = (0..4_200).map(opening).collect();
    assert!(network.block(&commands).outcomes.iter().all(Outcome::is_settled));
    let (chunks, _) = chunks_of(&mut network);
    // Main, state, two of holders, bank 1 with two of accounts, banks 2 and 3 with one each.
    assert_eq!(chunks.len(), 2 + 2 + 3 + 2 + 2);
    let loaded = load(&chunks).unwrap();
    assert_eq!((loaded.wallet_count(), loaded.holder_count()), (4_200, 4_200));
    let last = key("wallet of person 4199 at 1").public_key();
    assert_eq!(loaded.wallet_by_key(BankId(1), last), Some(account(1, 4_200)));
}

#[test]
fn a_spoilt_checkpoint_is_an_error_or_a_sound_ledger_and_never_a_panic() {
    let (mut network, _) = commands();
    let (chunks, _) = chunks_of(&mut network);
    for chunk in 0..chunks.len() {
        // The state's chunk is mostly the members' windows, 8 KiB each; the rest is at both ends.
        let length = chunks[chunk].len();
        for at in (0..length).filter(|at| *at < 1_600 || length - at < 600 || at % 997 == 0) {
            for flip in [1, 255] {
                let mut spoilt = chunks.clone();
                spoilt[chunk][at] ^= flip;
                if let Ok(ledger) = load(&spoilt) {
                    ledger.check_invariants().unwrap();
                }
            }
        }
    }
}
