//! The state root: headers cover the whole state, a checkpoint with another state is refused, and the version of the
//! formats that introduced it begins by vote.

use crate::model;
use crate::model::followers::Followers;
use crate::model::network::{DAY_MS, HOUR_MS, Network, amount, key, proposal, velocity};
use crate::model::samples::{chunks_of, load};
use cbdc_ledger::block::HEADER_BYTES;
use cbdc_ledger::block_proposal::BlockProposalBuilder;
use cbdc_ledger::checkpoint::CheckpointError;
use cbdc_ledger::command::GovernanceAction;
use cbdc_ledger::programme::{Classes, Cohort, Funding, Grant, Purpose};
use cbdc_ledger::sections::{Section, Sections};
use cbdc_ledger::{Block, Class, Command, FormatVersion, Header, Reason, Timestamp, VerifiedProposal};

/// A network that begins with a version of the formats.
fn network(format: FormatVersion) -> Network {
    Network::build(|genesis| genesis.format = format)
}

/// The next block, without commands; it is a checkpoint block.
fn checkpoint_block(network: &mut Network) -> Block {
    let mut builder = BlockProposalBuilder::default();
    builder.ask_for_checkpoint();
    let made = builder.finish(network.now);
    assert_eq!(VerifiedProposal::from_built(&made), VerifiedProposal::from_own_log(made.bytes()).unwrap());
    network.ledger.apply(&VerifiedProposal::from_built(&made))
}

/// A network with something in every section, at a checkpoint block.
fn with_everything() -> Network {
    let mut network = network(FormatVersion::Two);
    let alice = network.open(1, "alice", Class::HOUSEHOLD);
    let bob = network.open(2, "bob", Class::HOUSEHOLD);
    let shop = network.open(2, "shop", Class::MERCHANT);
    network.fund(alice, 5_000);
    network.enact(vec![
        velocity(Class::HOUSEHOLD, 10, HOUR_MS),
        GovernanceAction::Grant(Grant {
            cohort: Cohort { class: Class::HOUSEHOLD, bank: None, first: 0 },
            amount_each: amount(700),
            purpose: Some(Purpose {
                expires_at: network.now.plus_ms(20 * DAY_MS),
                payees: Classes::of([Class::MERCHANT]),
                funding: Funding::Equity,
            }),
        }),
    ]);
    network.wait(1_000);
    network.must_settle(network.transfer(alice, bob, 1_200));
    network.must_settle(network.hold(alice, shop, 900));
    network.must_settle(network.hold(bob, shop, 300));
    network.must_settle(network.replacing(bob, "bob's new phone"));
    network.must_settle(network.reclassification("shop", Class::BUSINESS));
    network.must_settle(network.statement(1, 750_000));
    checkpoint_block(&mut network);
    network
}

/// The offset of the state in the first chunk: after section, version, header and digests.
const STATE_AT: usize = 2 + HEADER_BYTES + Sections::BYTES;

#[test]
fn a_flipped_bit_anywhere_in_a_checkpoint_is_refused_or_means_another_header() {
    let mut network = with_everything();
    let tip = network.ledger.tip_hash();
    let (chunks, _) = chunks_of(&mut network);
    assert_eq!(load(&chunks).unwrap().tip_hash(), tip);
    let (mut flips, mut of_header) = (0, 0);
    for (number, chunk) in chunks.iter().enumerate() {
        // A window of a member is 8 KiB of zeros: each byte of what is short, samples of what is long.
        let step = if chunk.len() > 10_000 { 61 } else { 3 };
        for at in (0..chunk.len()).step_by(step) {
            let mut altered = chunks.clone();
            altered[number][at] ^= 1 << (at % 8);
            flips += 1;
            match load(&altered) {
                Err(_) => {}
                // Time, parent and the block's content are in no state; the header's signature covers them.
                Ok(loaded) if number == 0 && at < STATE_AT => {
                    of_header += 1;
                    assert_ne!(loaded.tip_hash(), tip, "byte {at} of the first chunk");
                }
                Ok(_) => panic!("byte {at} of chunk {number} can be another"),
            }
        }
    }
    assert!(flips > 2_000 && of_header > 10, "{flips} flips, {of_header} of the header");
}

#[test]
fn a_wallets_key_that_was_replaced_by_a_thiefs_is_noticed() {
    let mut network = with_everything();
    let (mut chunks, _) = chunks_of(&mut network);
    let (bobs, thiefs) = (key("bob's new phone").public_key(), key("thief").public_key());
    let mut replaced = 0;
    for chunk in &mut chunks {
        let found: Vec<usize> =
            chunk.windows(32).enumerate().filter(|(_, key)| **key == bobs.0).map(|(at, _)| at).collect();
        for at in found {
            chunk[at..at + 32].copy_from_slice(&thiefs.0);
            replaced += 1;
        }
    }
    assert_eq!(replaced, 1);
    let height = network.ledger.height();
    match load(&chunks).map(|_| ()) {
        Err(CheckpointError::OtherState { height: found, part, .. }) => {
            assert_eq!((found, part), (height, Section::Keys.name()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plain_payment_leaves_the_state_root_and_every_other_change_changes_its_section() {
    let mut network = with_everything();
    let (alice, bob, shop) =
        (model::network::account(1, 1), model::network::account(2, 1), model::network::account(2, 2));
    // The block after a checkpoint block has no digest of holders.
    network.must_settle(network.transfer(alice, bob, 5));
    let header = *network.ledger.tip();
    network.must_settle(network.transfer(bob, alice, 7));
    assert_eq!(network.ledger.tip().state_root, header.state_root);
    assert!(!network.ledger.tip().is_of_checkpoint());
    type Step = fn(&mut Network, [cbdc_ledger::AccountId; 3]) -> u64;
    let steps: [(&str, Step, &[Section]); 5] = [
        (
            "hold",
            |network, [alice, _, shop]| network.must_settle(network.hold(alice, shop, 10)),
            &[Section::Issuance, Section::Holds],
        ),
        (
            "key",
            |network, [alice, ..]| network.must_settle(network.replacing(alice, "alice's next phone")),
            &[Section::Windows, Section::Keys, Section::RetiredKeys],
        ),
        (
            "class",
            |network, _| network.must_settle(network.reclassification("bob", Class::BUSINESS)),
            &[Section::Windows, Section::Classes],
        ),
        (
            "issue",
            |network, _| network.must_settle(network.issuance(cbdc_ledger::command::IssuanceKind::Issue, 1, 10)),
            &[Section::Windows, Section::Issuance],
        ),
        (
            "vote",
            |network, _| network.must_settle(network.proposal(vec![GovernanceAction::Threshold(1)])),
            &[Section::Windows, Section::Proposals],
        ),
    ];
    for (name, step, changed) in steps {
        let before = *network.ledger.sections();
        step(&mut network, [alice, bob, shop]);
        let after = *network.ledger.sections();
        let found: Vec<Section> =
            Section::ALL.into_iter().filter(|section| before.of(*section) != after.of(*section)).collect();
        assert_eq!(found, changed, "{name}");
        assert_eq!(after.root(network.id()), network.ledger.tip().state_root, "{name}");
    }
}

#[test]
fn a_version_of_the_formats_begins_with_the_block_that_enacts_it() {
    let mut network = network(FormatVersion::One);
    let genesis = network.ledger.genesis().clone();
    let mut followers = Followers::new(&genesis);
    let mut follow = |network: &mut Network, commands: &dyn Fn(&Network) -> Vec<Command>| {
        let commands = commands(network);
        let (parent, bytes) = (*network.ledger.tip(), proposal(network.now, &commands));
        let block = network.ledger.apply(&VerifiedProposal::from_own_log(&bytes).unwrap());
        followers.follow(&network.ledger, &parent, &bytes, &block);
        followers.restart();
        block
    };
    let open = |network: &Network, person| vec![network.sign(network.opening(1, person, Class::HOUSEHOLD), "bank-1")];
    let block = follow(&mut network, &|network| open(network, "alice"));
    assert_eq!((block.header.format, block.header.state_root), (FormatVersion::One, [0; 32]));
    assert_eq!(block.header.to_bytes()[0], 1);

    let effective_at = network.now.plus_ms(HOUR_MS);
    let block = follow(&mut network, &|network| {
        let mut proposed = network.proposal(vec![GovernanceAction::FormatVersion(FormatVersion::Two)]);
        proposed.effective_at = effective_at;
        vec![network.sign(proposed, "committee-0"), network.sign(network.ballot(1, true, 1), "committee-1")]
    });
    assert!(block.outcomes.iter().all(|outcome| outcome.is_settled()), "{:?}", block.outcomes);
    network.now = Timestamp(effective_at.0 - 1);
    let block = follow(&mut network, &|network| open(network, "bob"));
    assert_eq!(block.header.format, FormatVersion::One, "it is voted, not yet in force");

    network.now = effective_at;
    let block = follow(&mut network, &|_| Vec::new());
    assert_eq!(block.header, *network.ledger.tip());
    let header = *network.ledger.tip();
    assert_eq!((header.format, header.to_bytes()[0]), (FormatVersion::Two, 2));
    assert_eq!(header.state_root, network.ledger.sections().root(network.id()));
    assert_eq!(Header::from_bytes(&header.to_bytes()), Ok(header));
    follow(&mut network, &|network| open(network, "carol"));
    for version in [FormatVersion::One, FormatVersion::Two] {
        let again = network.settle(network.proposal(vec![GovernanceAction::FormatVersion(version)]));
        assert_eq!(again.reason, Reason::ActionUnacceptable, "formats never go back");
    }
}

#[test]
fn before_version_2_no_block_is_a_checkpoint_block() {
    let mut network = network(FormatVersion::One);
    network.open(1, "alice", Class::HOUSEHOLD);
    let header = checkpoint_block(&mut network).header;
    assert_eq!((header.is_of_checkpoint(), header.state_root), (false, [0; 32]));
    let (chunks, _) = chunks_of(&mut network);
    assert_eq!(load(&chunks).unwrap().tip_hash(), header.hash());
}
