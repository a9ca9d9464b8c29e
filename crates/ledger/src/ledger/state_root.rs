//! The digests of the state's sections, and the roots over them in a header.

use std::collections::BTreeMap;

use super::Ledger;
use crate::codec::encoding::Writer;
use crate::codec::merkle::Hash;
use crate::state::balances::BalancesTree;
use crate::state::bank_accounts::BankAccounts;
use crate::state::bank_table::BankTable;
use crate::state::sections::{Section, Sections, digest};
use crate::types::format::FormatVersion;
use crate::types::identity::BankId;

/// The bytes of holders that are gathered before they are hashed.
const RUN: usize = 64 * 1024;

impl Ledger {
    /// Brings the sections' digests up to date; returns the state root and, in a checkpoint block, the balances root.
    /// Both are zeros in version 1.
    pub(crate) fn seal_state(&mut self, is_checkpoint: bool) -> (Hash, Hash) {
        if self.format == FormatVersion::One {
            return ([0; 32], [0; 32]);
        }
        let sections = self.digest_sections(is_checkpoint);
        let is_as_before = sections == self.sections && self.tip.format == self.format && self.tip.height.0 > 0;
        self.sections = sections;
        let state_root = if is_as_before { self.tip.state_root } else { sections.root(self.network) };
        let balances_root = if is_checkpoint { self.balances_root() } else { [0; 32] };
        (state_root, balances_root)
    }

    /// The digest of each section of a whole ledger; that of holders only on request.
    pub(crate) fn digest_sections(&mut self, with_holders: bool) -> Sections {
        let keys_changed = self.banks.iter().any(|(_, bank)| bank.keys.has_changed());
        let [keys, retired_keys] = if keys_changed {
            [digest_of_banks(&mut self.banks, |bank| bank.keys.root()), self.digest_retired_keys()]
        } else {
            [Section::Keys, Section::RetiredKeys].map(|section| self.sections.of(section))
        };
        let [members, windows] = self.members.digests();
        let [programmes, earmarks] = self.programmes.digests();
        let (last_hold, holds) = self.holds.digests();
        let holds = digest(|out| {
            out.raw(&holds).raw(&self.freezes.root());
        });
        let holders = if with_holders { self.digest_holders() } else { [0; 32] };
        // In the order of `Section`.
        Sections::of_digests([
            members,
            windows,
            self.policy.digest(),
            self.proposals.digest(),
            self.digest_issuance(last_hold),
            keys,
            retired_keys,
            self.class_history.root(),
            holds,
            programmes,
            earmarks,
            holders,
        ])
    }

    /// The root of each bank's keys.
    pub(crate) fn key_roots(&self) -> impl Iterator<Item = (BankId, Hash)> {
        self.banks.iter().map(|(bank, accounts)| (bank, accounts.keys.root_with(&BTreeMap::new())))
    }

    /// The digests of the sections that a partial replica keeps; zeros for the others.
    pub(crate) fn digest_part(&mut self) -> Sections {
        let mut roots = self.partial_replica.as_ref().map_or_else(BTreeMap::new, |part| part.key_roots.clone());
        if let Some((bank, own)) = self.partial_replica_of().and_then(|bank| Some((bank, self.banks.get_mut(bank)?))) {
            roots.insert(bank, own.keys.root());
        }
        let mut digests = [[0; 32]; Section::ALL.len()];
        for (section, digest) in [
            (Section::Members, self.members.digests()[0]),
            (Section::Policy, self.policy.digest()),
            (Section::Keys, digest_of_roots(roots)),
            (Section::Classes, self.class_history.root()),
        ] {
            digests[section as usize] = digest;
        }
        Sections::of_digests(digests)
    }

    fn digest_issuance(&self, last_hold: u64) -> Hash {
        digest(|out| {
            self.sweep.encode(out);
            out.u64(last_hold);
            for (bank, accounts) in self.banks.iter() {
                out.u16(bank.0).u64(accounts.issued_today.minor()).u32(accounts.issued_day.0);
            }
        })
    }

    fn digest_retired_keys(&mut self) -> Hash {
        digest_of_banks(&mut self.banks, |bank| bank.retired_keys.root())
    }

    fn digest_holders(&self) -> Hash {
        let (mut hasher, mut run) = (blake3::Hasher::new(), Writer::with_capacity(2 * RUN));
        for (holder, recent) in self.holders.iter().zip(self.recent_payments.iter()) {
            holder.encode(&mut run);
            recent.encode(&mut run);
            if run.len() >= RUN {
                hasher.update(run.as_bytes());
                run.clear();
            }
        }
        *hasher.update(run.as_bytes()).finalize().as_bytes()
    }

    /// The root over all accounts, which proves their sum.
    pub(crate) fn balances_root(&self) -> Hash {
        let mut tree = BalancesTree::default();
        for (bank, accounts) in self.banks.iter() {
            accounts.accounts.pages().for_each(|(first, page)| tree.page(bank, first as u32, page));
        }
        let (root, sum) = tree.finish();
        debug_assert_eq!(sum, i128::from(self.books.cbdc().minor()), "I1");
        root
    }
}

/// The digest over the roots of all banks.
pub(crate) fn digest_of_roots(roots: impl IntoIterator<Item = (BankId, Hash)>) -> Hash {
    digest(|out| {
        roots.into_iter().for_each(|(bank, root)| {
            out.u16(bank.0).raw(&root);
        });
    })
}

fn digest_of_banks(banks: &mut BankTable<BankAccounts>, root: impl Fn(&mut BankAccounts) -> Hash) -> Hash {
    digest_of_roots(banks.iter_mut().map(|(bank, accounts)| (bank, root(accounts))))
}
