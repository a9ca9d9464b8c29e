//! Banks that follow headers and their own customers: over random histories of all commands each knows of its own
//! accounts what the ledger knows, and nothing that a header proves can be omitted, added or altered.

use crate::model::followers::Followers;
use crate::model::history::{BlockPlan, Keyring, Resolver, beginning, block_plans};
use crate::model::network::{Network, genesis, member, proposal};
use crate::model::reference::Model;
use cbdc_ledger::command::GovernanceAction;
use cbdc_ledger::filtered_block::{FilteredBlockError, filtered_blocks};
use cbdc_ledger::member::Role;
use cbdc_ledger::{BankId, BlockProposal, Class, Command, FormatVersion, Genesis, Ledger, Timestamp, VerifiedProposal};
use proptest::prelude::*;

/// A ledger with blocks on the way, as random histories make them.
struct Chain {
    ledger: Ledger,
    model: Model,
    earlier: Vec<cbdc_ledger::Command>,
}

impl Chain {
    fn new(genesis: &Genesis) -> Chain {
        Chain { ledger: Ledger::new(genesis.clone()).unwrap(), model: Model::new(genesis), earlier: Vec::new() }
    }

    /// Settles a block and returns its block proposal; the ledger's tip is its header.
    fn block(&mut self, plan: &BlockPlan, keys: &Keyring) -> (Vec<u8>, cbdc_ledger::Block) {
        let time = self.model.time + plan.after_ms;
        self.model.begin_block(time);
        let mut commands = Vec::new();
        for command in &plan.commands {
            let resolver = Resolver { model: &self.model, keys, earlier: &self.earlier, signs_for: None };
            let command = resolver.resolve(command);
            self.model.settle(&command);
            self.earlier.push(command.clone());
            commands.push(command);
        }
        let mut bytes = proposal(Timestamp(time), &commands);
        bytes[1] = u8::from(self.model.height.is_multiple_of(3));
        let block = self.ledger.apply(&VerifiedProposal::from_own_log(&bytes).unwrap());
        (bytes, block)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_bank_knows_of_its_own_what_the_ledger_knows(
        plans in prop::collection::vec(block_plans(10), 1..48),
        restart_at in 0usize..48,
        format in prop::sample::select(vec![FormatVersion::One, FormatVersion::Two]),
    ) {
        let genesis = Genesis { format, ..genesis() };
        let (mut chain, mut followers, keys) = (Chain::new(&genesis), Followers::new(&genesis), Keyring::default());
        for (height, plan) in beginning().iter().chain(&plans).enumerate() {
            let parent = *chain.ledger.tip();
            let (bytes, block) = chain.block(plan, &keys);
            followers.follow(&chain.ledger, &parent, &bytes, &block);
            if height == restart_at {
                followers.restart();
            }
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// A flipped bit is refused if a header proves what was flipped; otherwise nothing that is proved changes by it. A
    /// refused filtered block leaves the ledger as it was.
    #[test]
    fn what_a_header_proves_cannot_be_altered(
        plans in prop::collection::vec(block_plans(6), 1..6),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 64),
    ) {
        let genesis = Genesis { format: FormatVersion::Two, ..genesis() };
        let (mut chain, mut followers, keys) = (Chain::new(&genesis), Followers::new(&genesis), Keyring::default());
        let bank = BankId(1);
        for plan in beginning().iter().chain(&plans) {
            let parent = *chain.ledger.tip();
            let (bytes, block) = chain.block(plan, &keys);
            let made =
                filtered_blocks(&chain.ledger, &[bank], &parent, &BlockProposal::decode(&bytes).unwrap(), &block);
            let filtered_block = &made[0].1;
            for (pick, bit) in &flips {
                let mut altered = filtered_block.clone();
                altered[pick.index(filtered_block.len())] ^= 1 << bit;
                let untouched = *followers.of(bank).tip();
                let mut victim = copy(followers.of_mut(bank));
                match victim.follow(&block.header, &altered) {
                    Err(_) => prop_assert_eq!(*victim.tip(), untouched),
                    Ok(_) => {
                        prop_assert_eq!(victim.books(), chain.ledger.books());
                        prop_assert_eq!(victim.policy(), chain.ledger.policy());
                        let seats = |ledger: &Ledger| {
                            let seats = ledger.members().seats();
                            seats.map(|seat| (seat.member.clone(), seat.key_version, seat.active)).collect::<Vec<_>>()
                        };
                        prop_assert_eq!(seats(&victim), seats(&chain.ledger));
                        for (id, account) in chain.ledger.wallets_of(bank) {
                            prop_assert_eq!(victim.account(id), Some(account));
                            prop_assert_eq!(victim.key(id), chain.ledger.key(id));
                        }
                    }
                }
            }
            followers.follow(&chain.ledger, &parent, &bytes, &block);
        }
    }
}

/// The same ledger, through a checkpoint.
fn copy(part: &mut Ledger) -> Ledger {
    let mut loader = cbdc_ledger::checkpoint::Loader::default();
    let root = part.snapshot().write(|chunk| loader.chunk(&chunk)).unwrap();
    loader.finish(root).unwrap()
}

#[test]
fn what_a_reclassification_or_a_new_member_costs_a_bank_does_not_grow_with_what_there_is() {
    let mut network = Network::build(|_| {});
    for number in 0..64 {
        network.open(1 + number % 2, &format!("person {number}"), Class::HOUSEHOLD);
        network.must_settle(network.reclassification(&format!("person {number}"), Class::BUSINESS));
    }
    let reclassification = network.sign(network.reclassification("person 5", Class::MERCHANT), "registrar-0");
    let actions = vec![GovernanceAction::AdmitMember(member(Role::Bank, 9))];
    let admission = [
        network.sign(network.proposal(actions), "committee-0"),
        network.sign(network.ballot(1, true, 1), "committee-1"),
    ];
    let mut filtered = |commands: &[Command]| {
        let parent = *network.ledger.tip();
        let bytes = proposal(network.now, commands);
        let block = network.ledger.apply(&VerifiedProposal::from_own_log(&bytes).unwrap());
        assert!(block.outcomes.iter().all(|outcome| outcome.is_settled()), "{:?}", block.outcomes);
        let proposal = BlockProposal::decode(&bytes).unwrap();
        filtered_blocks(&network.ledger, &[BankId(3)], &parent, &proposal, &block)[0].1.len()
    };
    // Path, one holder and one history, without what else the members and histories are.
    let reclassified = filtered(&[reclassification]);
    assert!(reclassified < 400, "{reclassified} bytes");
    // About 100 bytes a member, without 8 KiB of the sequence numbers that each has used.
    filtered(&admission);
    let admitted = filtered(&[]);
    assert!((500..4_000).contains(&admitted), "{admitted} bytes");
}

#[test]
fn a_filtered_block_serves_its_own_bank_and_place_only() {
    let genesis = genesis();
    let (mut chain, mut followers, keys) = (Chain::new(&genesis), Followers::new(&genesis), Keyring::default());
    let mut blocks = Vec::new();
    for plan in &beginning() {
        let parent = *chain.ledger.tip();
        let (bytes, block) = chain.block(plan, &keys);
        let both = [BankId(1), BankId(2)];
        let made = filtered_blocks(&chain.ledger, &both, &parent, &BlockProposal::decode(&bytes).unwrap(), &block);
        blocks.push((block.header, made));
    }
    let (first, made) = &blocks[0];
    let other = followers.of_mut(BankId(1)).follow(first, &made[1].1);
    assert_eq!(other, Err(FilteredBlockError::OtherBank { expected: BankId(1), found: BankId(2) }));
    if let Some((second, made)) = blocks.get(1) {
        let early = followers.of_mut(BankId(1)).follow(second, &made[0].1);
        assert!(matches!(early, Err(FilteredBlockError::OtherParent { .. })), "{early:?}");
    }
    followers.of_mut(BankId(1)).follow(first, &made[0].1).unwrap();
    let again = followers.of_mut(BankId(1)).follow(first, &made[0].1);
    assert!(matches!(again, Err(FilteredBlockError::OtherParent { .. })), "{again:?}");
}
