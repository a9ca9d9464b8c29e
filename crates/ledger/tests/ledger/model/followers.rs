//! Partial replicas beside the ledger that settles.

use cbdc_ledger::block::Header;
use cbdc_ledger::checkpoint::Loader;
use cbdc_ledger::filtered_block::{filtered_blocks, read_command};
use cbdc_ledger::member::Role;
use cbdc_ledger::policy::remuneration::capitalise;
use cbdc_ledger::{AccountId, BankId, Block, BlockProposal, Genesis, Ledger, MemberId};

/// One partial replica per bank.
pub struct Followers(Vec<Ledger>);

impl Followers {
    pub fn new(genesis: &Genesis) -> Followers {
        let banks = Ledger::new(genesis.clone()).unwrap().banks().collect::<Vec<_>>();
        Followers(banks.into_iter().map(|bank| Ledger::of_bank(genesis.clone(), bank).unwrap()).collect())
    }

    /// Lets each bank follow a block, and compares what it then knows with the ledger that settled it.
    pub fn follow(&mut self, ledger: &Ledger, parent: &Header, proposal: &[u8], block: &Block) {
        let proposal = BlockProposal::decode(proposal).unwrap();
        let banks: Vec<BankId> = self.0.iter().filter_map(Ledger::partial_replica_of).collect();
        let made = filtered_blocks(ledger, &banks, parent, &proposal, block);
        assert_eq!(made.len(), banks.len());
        for (part, (bank, filtered_block)) in self.0.iter_mut().zip(&made) {
            let followed =
                part.follow(&block.header, filtered_block).unwrap_or_else(|error| panic!("bank {bank}: {error}"));
            for own in &followed.commands {
                assert_eq!(read_command(filtered_block, own.index, own.offset).as_ref(), Ok(own));
                let index = own.index as usize;
                assert_eq!((&own.command, own.outcome), (&proposal.commands[index], block.outcomes[index]));
            }
            let deposits: Vec<_> = block.changes.deposits.iter().filter(|moved| moved.bank == *bank).copied().collect();
            assert_eq!(followed.changes.deposits, deposits, "bank {bank}");
            let entries = block.changes.entries.iter().filter(|entry| entry.wallet.bank == *bank);
            assert!(followed.changes.entries.iter().eq(entries), "bank {bank}: {:?}", followed.changes.entries);
            compare(ledger, part, *bank);
        }
    }

    /// The partial replica of one bank.
    pub fn of(&self, bank: BankId) -> &Ledger {
        self.0.iter().find(|part| part.partial_replica_of() == Some(bank)).expect("each bank of the genesis follows")
    }

    pub fn of_mut(&mut self, bank: BankId) -> &mut Ledger {
        self.0
            .iter_mut()
            .find(|part| part.partial_replica_of() == Some(bank))
            .expect("each bank of the genesis follows")
    }

    /// Saves each ledger and loads it again.
    pub fn restart(&mut self) {
        for part in &mut self.0 {
            let mut loader = Loader::default();
            let root = part.snapshot().write(|chunk| loader.chunk(&chunk)).unwrap();
            let restarted = loader.finish(root).unwrap();
            assert_eq!(restarted.partial_replica_of(), part.partial_replica_of());
            *part = restarted;
        }
    }
}

fn compare(ledger: &Ledger, part: &Ledger, bank: BankId) {
    assert_eq!((part.tip(), part.tip_hash()), (ledger.tip(), ledger.tip_hash()));
    assert_eq!(part.books(), ledger.books());
    assert_eq!(part.supply(), ledger.supply());
    assert_eq!(part.policy().in_force(), ledger.policy().in_force());
    let seat = |ledger: &Ledger| ledger.members().seat(Role::Bank, MemberId(bank.0)).cloned();
    assert_eq!(seat(part), seat(ledger), "bank {bank}: its own seat");
    let keys = |ledger: &Ledger| {
        let seats = ledger.members().seats();
        seats.map(|seat| (seat.member.clone(), seat.key_version, seat.active)).collect::<Vec<_>>()
    };
    assert_eq!(keys(part), keys(ledger), "bank {bank}: the members");
    let treasury = AccountId::treasury(bank);
    assert_eq!(part.account(treasury), ledger.account(treasury));
    let own = ledger.wallets_of(bank).map(|(id, _)| id);
    let is_linked = |id: &AccountId| ledger.account(*id).is_some_and(|wallet| wallet.linked_bank == bank);
    let others = ledger.banks().filter(|other| *other != bank);
    let others = others.flat_map(|other| ledger.wallets_of(other)).map(|(id, _)| id);
    let (linked, foreign): (Vec<_>, Vec<_>) = others.partition(is_linked);
    assert!(foreign.iter().all(|id| part.account(*id).is_none()), "bank {bank} keeps wallets that are not its own");
    for id in own.chain(linked) {
        let holder = |ledger: &Ledger| ledger.holder_of(id).map(|holder| (holder.id, holder.class));
        let interest = |ledger: &Ledger| {
            let account = ledger.account_today(id)?;
            Some((account, capitalise(account.accrued, ledger.genesis().day_count)))
        };
        assert_eq!(part.account(id), ledger.account(id), "bank {bank}: {id}");
        assert_eq!(part.key(id), ledger.key(id), "bank {bank}: {id}");
        assert_eq!(holder(part), holder(ledger), "bank {bank}: {id}");
        assert_eq!(interest(part), interest(ledger), "bank {bank}: {id}");
        if id.bank == bank {
            let key = ledger.key(id).unwrap();
            assert_eq!(part.wallet_by_key(bank, key), ledger.wallet_by_key(bank, key), "bank {bank}: {id}");
        }
    }
    assert_eq!(part.wallets_of(bank).count(), ledger.wallets_of(bank).count());
    part.check_invariants().unwrap();
}
