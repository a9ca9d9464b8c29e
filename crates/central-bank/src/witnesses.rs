//! Witnesses: what the banks know of the chain and the time, compared with what this node knows.
//!
//! A bank that opens a stream of blocks shows its newest header, which a node of the central bank signed, and its
//! clock. A header above this node's chain, or another one than this node has at that height, proves that this node has
//! lost blocks which the network has settled: it was restored from an older copy, or its log was cut. It seals nothing
//! from then on, since each block would give a height a second meaning; the evidence is kept in its store. An operator
//! recovers the blocks from a bank ([`crate::recovery`]).
//!
//! A bank with newer blocks also shows its header at the height of this node's newest one, which tells blocks that were
//! lost from others that were sealed instead; and the membership changes of those blocks, since keys with which they
//! are signed may have been replaced above this node's chain.
//!
//! A node that starts on a chain waits for the banks first: it seals nothing until the node of each active bank has
//! testified, or [`wait_for_banks_ms`](crate::Config::wait_for_banks_ms) has passed.
//!
//! A node that orders with others waits for nobody. Newer blocks than its own are no loss by themselves: it may lag,
//! and a majority has whatever was settled. They are one if a majority confirms that this node leads, and it has
//! applied all that was ordered ([`crate::replicas::confirmation`]): then the nodes have replaced too many of their
//! disks, or have begun a second history on empty ones. Another header at a height that the node has is a fork, whether
//! it leads or not. One that goes on alone after a majority was lost listens to the banks as if it had always been
//! alone.
//!
//! What was lost is found again where another node that has it comes to lead: this one follows it then.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use cbdc_ledger::block::ProofError;
use cbdc_ledger::encoding::hex;
use cbdc_ledger::member::Role;
use cbdc_ledger::membership_change::{FollowedMembership, MembershipChange};
use cbdc_ledger::{BankId, Height, Ledger, MemberId, Outcome, Reason, SignedHeader, Timestamp};
use cbdc_node::chain::Witness;
use cbdc_node::evidence::{self, Unresolved};
use cbdc_node::{Archive, LedgerHandle, Membership, RoleKeys};
use cbdc_proto::convert::header_from_message;
use cbdc_proto::status::of_outcome;
use cbdc_proto::v1;
use cbdc_storage::StoreError;
use metrics::counter;
use tokio::sync::watch;
use tonic::{Request, Status};

use crate::clock::{Clock, JUMP};
use crate::metrics::SECURITY;
use crate::replicas::confirmation::Confirmation;

/// The proof that this node has lost blocks, or has sealed others than the network has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The bank that showed it, and whether it keeps whole blocks; `None` if it did so before this node started.
    pub bank: Option<(BankId, bool)>,
    /// The header that the bank has.
    pub height: Height,
    pub hash: [u8; 32],
    /// This node's newest block, or the one at that height.
    pub own_height: Height,
    pub own_hash: [u8; 32],
    /// Whether the bank has this node's newest block as well, so that its chain continues this one.
    pub continues: bool,
    /// Whether other nodes order with this one.
    pub among: bool,
}

impl Lost {
    fn bank_name(&self) -> String {
        self.bank.map_or_else(|| "a bank".to_owned(), |(bank, _)| format!("bank {bank}"))
    }

    /// The node from which the blocks can be fetched.
    fn holder(&self) -> String {
        match self.bank {
            Some((bank, true)) => format!("bank {bank}, which keeps whole blocks"),
            Some((_, false)) | None => "a bank that keeps whole blocks".to_owned(),
        }
    }

    /// Whether it tells an operator more than what was found before: that two blocks were signed; by whom, and from
    /// whom the blocks can be had; how many there are.
    fn says_more_than(&self, before: &Lost) -> bool {
        let of = |lost: &Lost| {
            let is_fork = lost.height <= lost.own_height;
            (is_fork, lost.bank.is_some_and(|(_, keeps)| keeps), lost.bank.is_some(), lost.continues, lost.height)
        };
        of(self) > of(before)
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lost { height, own_height, .. } = self;
        let (hash, own_hash) = (hex(&self.hash), hex(&self.own_hash));
        let (bank, holder) = (self.bank_name(), self.holder());
        if height <= own_height {
            return write!(
                f,
                "two blocks {height} were signed: {own_hash} here, and {hash} at {bank}. Nothing is sealed. Decide \
                 which chain the network keeps. If it is the banks', start this node on an empty folder with --new and \
                 --recover-from and the address of {holder}; if it is this one, {bank} starts on an empty folder"
            );
        }
        let what = match self.continues {
            true => format!("this node has lost blocks {} to {height}", own_height.next()),
            false => format!(
                "this node has lost blocks up to {height}, or has sealed others in their place (recovery tells which)"
            ),
        };
        if self.among {
            return write!(
                f,
                "{what}, and so have the nodes that order with it: their chain ends at block {own_height} ({own_hash}), \
                 and {bank} has block {height} ({hash}), which the network's nodes signed. Nothing is sealed. If a node \
                 of the central bank still has that block, stop all others, and start them on empty folders with \
                 `join = true` in the section [ordering] of their configuration. If none has, one node recovers the \
                 blocks from {holder}: see \"When a majority is lost\" in docs/operations/replicas.md"
            );
        }
        write!(
            f,
            "{what}: its chain ends at block {own_height} ({own_hash}), and {bank} has block {height} ({hash}), which \
             a node of the central bank signed. Nothing is sealed until the blocks are recovered: stop the node and \
             start it with --recover-from and the address of {holder}"
        )
    }
}

/// The testimony of one bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Testimony {
    /// The bank's clock.
    pub clock: Timestamp,
    /// This node's clock at that moment.
    pub own_clock: Timestamp,
}

pub struct Witnesses {
    ledger: LedgerHandle,
    archive: Arc<Archive>,
    clock: Arc<Clock>,
    testimonies: Mutex<BTreeMap<BankId, Testimony>>,
    /// Changes with each testimony.
    heard: watch::Sender<()>,
    lost: watch::Sender<Option<Lost>>,
    /// Whether the wait for the banks after the start is over.
    has_waited: watch::Sender<bool>,
    /// Whether other nodes order with this one: then newer blocks than its own are by themselves no sign of a loss.
    has_replicas: AtomicBool,
    /// `None` for a node that orders alone.
    confirmation: Option<Confirmation>,
    /// Takes note of newer membership that banks prove, where other nodes order with this one.
    keys: OnceLock<Arc<RoleKeys>>,
}

impl Witnesses {
    pub fn new(ledger: LedgerHandle, archive: Arc<Archive>, clock: Arc<Clock>) -> Witnesses {
        let has_replicas = AtomicBool::new(false);
        let (testimonies, heard, lost) = (Mutex::default(), watch::channel(()).0, watch::channel(None).0);
        let has_waited = watch::channel(false).0;
        let (confirmation, keys) = (None, OnceLock::new());
        Witnesses { ledger, archive, clock, testimonies, heard, lost, has_waited, has_replicas, confirmation, keys }
    }

    /// Those of a node that may order with others; `has_replicas` says whether it does now.
    #[must_use]
    pub fn among(self, confirmation: Confirmation, has_replicas: bool) -> Witnesses {
        Witnesses { confirmation: Some(confirmation), has_replicas: AtomicBool::new(has_replicas), ..self }
    }

    /// Notes that other nodes order with this one.
    pub fn note_replicas(&self) {
        self.has_replicas.store(true, Ordering::Release);
    }

    fn has_replicas(&self) -> bool {
        self.has_replicas.load(Ordering::Acquire)
    }

    /// The proof that this node has lost blocks, if there is one: it may seal none then.
    pub fn lost(&self) -> Option<Lost> {
        self.lost.borrow().clone()
    }

    /// Waits for such a proof; returns the status with which streams end then.
    pub async fn until_lost(&self) -> Status {
        let mut lost = self.lost.subscribe();
        match lost.wait_for(Option::is_some).await.ok().and_then(|lost| lost.as_ref().map(refusal)) {
            Some(status) => status,
            // Unreachable while `self` lives, which holds the sender.
            None => std::future::pending().await,
        }
    }

    /// Refuses to answer from a chain that lacks blocks.
    ///
    /// # Errors
    /// `LOST_BLOCKS`.
    pub fn require_whole(&self) -> Result<(), Status> {
        match &*self.lost.borrow() {
            None => Ok(()),
            Some(lost) => Err(refusal(lost)),
        }
    }

    /// The member who asks, who must have one of `roles`, unless this node lacks blocks.
    ///
    /// # Errors
    /// Those of [`Membership::require`]; `LOST_BLOCKS`.
    pub fn require<T>(
        &self,
        membership: &Membership,
        request: &Request<T>,
        roles: &[Role],
    ) -> Result<(Role, MemberId), Status> {
        let member = membership.require(request, roles)?;
        self.require_whole()?;
        Ok(member)
    }

    /// Whether there is such a proof.
    pub fn has_lost_blocks(&self) -> bool {
        self.lost.borrow().is_some()
    }

    /// Recalls the evidence in the store that still holds: a restart does not make up for what is missing.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn recall(&self) -> Result<(), StoreError> {
        let (tip_height, tip_hash) = self.ledger.read(|ledger| (ledger.height(), ledger.tip_hash()));
        for Unresolved { shown, own } in evidence::unresolved(self.archive.store(), &self.archive)? {
            let (height, hash) = (shown.header.height, shown.header.hash());
            let (own_height, own_hash) = own.map_or((tip_height, tip_hash), |own| (height, own));
            let (bank, continues, among) = (None, false, self.has_replicas());
            let lost = Lost { bank, height, hash, own_height, own_hash, continues, among };
            // Two blocks at a height say more than one above the chain.
            if self.lost().is_some_and(|found| found.height <= found.own_height) {
                continue;
            }
            tracing::error!(target: "security", "{lost}");
            self.lost.send_replace(Some(lost));
        }
        Ok(())
    }

    /// The testimonies since the node started.
    pub fn testimonies(&self) -> BTreeMap<BankId, Testimony> {
        self.testimonies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the node of each active bank has testified, for `longest` at most. A node with no block yet has none
    /// to lose, and waits for nobody.
    pub async fn hear_all(&self, longest: Duration) {
        self.hear_within(longest).await;
        self.has_waited.send_replace(true);
    }

    /// Notifies of the end of the wait after the start: until then nothing is sealed.
    pub fn watch_waited(&self) -> watch::Receiver<bool> {
        self.has_waited.subscribe()
    }

    async fn hear_within(&self, longest: Duration) {
        let waits_for_nobody = self.has_replicas() || self.ledger.read(Ledger::height) == Height(0);
        if waits_for_nobody || self.has_lost_blocks() {
            return;
        }
        let mut heard = self.heard.subscribe();
        let all = async { while !self.unheard().is_empty() && heard.changed().await.is_ok() {} };
        if tokio::time::timeout(longest, all).await.is_err() && !self.has_lost_blocks() {
            let unheard = self.unheard().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            tracing::warn!(
                banks = %unheard, waited_ms = longest.as_millis() as u64,
                "banks have not said what they know of the chain; sealing begins without them"
            );
        }
    }

    /// The active banks that have not testified.
    fn unheard(&self) -> Vec<BankId> {
        let testimonies = self.testimonies();
        let mut banks = self.active_banks();
        banks.retain(|bank| !testimonies.contains_key(bank));
        banks
    }

    fn active_banks(&self) -> Vec<BankId> {
        self.ledger.read(|ledger| {
            let with_node = ledger.members().active_in(Role::Bank).filter(|seat| seat.member.node_key.is_some());
            with_node.map(|seat| BankId(seat.member.id.0)).collect()
        })
    }

    /// The time by the banks' clocks, if those of most active banks differ from this node's by more than a jump.
    pub fn other_time(&self) -> Option<Timestamp> {
        let is_other = |heard: &Testimony| Duration::from_millis(heard.clock.0.abs_diff(heard.own_clock.0)) > JUMP;
        let mut others: Vec<Testimony> = self.testimonies().into_values().filter(is_other).collect();
        if 2 * others.len() <= self.active_banks().len() {
            return None;
        }
        others.sort_unstable_by_key(|heard| i128::from(heard.clock.0) - i128::from(heard.own_clock.0));
        let middle = others[others.len() / 2];
        let now = self.clock.wall();
        Some(middle.clock.plus_ms(now.0.saturating_sub(middle.own_clock.0)))
    }

    /// Forgets the loss once the chain has the block that was missing: another node has it, leads now, and is followed.
    /// The evidence stays in the store, where it means nothing any more.
    pub fn forget_what_is_found(&self) {
        let Some(Lost { height, hash, .. }) = self.lost() else { return };
        if self.ledger.read(Ledger::height) < height {
            return;
        }
        let is_found = match self.archive.header(height) {
            Ok(own) => own.is_some_and(|(own, _)| own.header.hash() == hash),
            Err(_) => false,
        };
        if is_found && self.lost.send_if_modified(|lost| lost.take_if(|lost| lost.hash == hash).is_some()) {
            tracing::warn!(target: "security", %height, "this node has the block again that it had lost");
        }
    }

    /// Compares a bank's headers with this node's chain.
    async fn compare(&self, (bank, keeps_blocks): (BankId, bool), testimony: &v1::Testimony) -> Result<(), Status> {
        let read = |header: &Option<v1::SignedHeader>| header.as_ref().map(header_from_message).transpose();
        let Some(newest) = read(&testimony.newest)? else { return Ok(()) };
        let at_head = read(&testimony.at_head)?;
        // The lower one first: two blocks at one height are no loss.
        let mut shown = at_head.iter().chain([&newest]);
        let Some(known) =
            shown.find_map(|known| self.contradiction(known).map(|found| found.map(|_| known)).transpose())
        else {
            return Ok(());
        };
        let known = known?;
        let (height, hash) = (known.header.height, known.header.hash());
        if let Err(error) = self.check_signatures(known, &testimony.membership_changes) {
            tracing::warn!(
                target: "security", %bank, %height, %error,
                "a bank shows a header that is not of this chain, and whose signatures do not verify"
            );
            return Err(Status::failed_precondition(format!(
                "header {height} of bank {bank} is not of this chain: {error}"
            )));
        }
        if !self.is_no_lag(height).await {
            return Ok(());
        }
        // The chain may have grown meanwhile.
        let Some((own_height, own_hash)) = self.contradiction(known)? else { return Ok(()) };
        // An empty chain is continued by any.
        let continues =
            own_height == Height(0) || at_head.as_ref().is_some_and(|at_head| at_head.header.height == own_height);
        let (bank, among) = (Some((bank, keeps_blocks)), self.has_replicas());
        let lost = Lost { bank, height, hash, own_height, own_hash, continues, among };
        self.keep(&lost, known);
        Err(refusal(&self.lost().unwrap_or(lost)))
    }

    /// This node's block that a header contradicts, or its newest one if the header is above it; `None` if the header
    /// is of this chain, or above that of a node that lags or may lag.
    fn contradiction(&self, known: &SignedHeader) -> Result<Option<(Height, [u8; 32])>, Status> {
        let (height, hash) = (known.header.height, known.header.hash());
        let (own_height, own_hash) = self.ledger.read(|ledger| (ledger.height(), ledger.tip_hash()));
        if height > own_height {
            let may_lag = self.has_replicas() && !self.leads();
            return Ok((!may_lag).then_some((own_height, own_hash)));
        }
        let own = self.archive.header(height).map_err(|error| Status::data_loss(error.to_string()))?;
        Ok(own.map(|(own, _)| (height, own.header.hash())).filter(|(_, own)| *own != hash))
    }

    fn leads(&self) -> bool {
        self.confirmation.as_ref().is_none_or(|confirmation| confirmation.leading.leads())
    }

    /// Whether this node, which lacks a block of a height or has another one there, is certain not to lag.
    async fn is_no_lag(&self, height: Height) -> bool {
        match &self.confirmation {
            Some(confirmation) if self.has_replicas() && height > self.ledger.read(Ledger::height) => {
                confirmation.leads_with_all().await
            }
            _ => true,
        }
    }

    /// Has newer membership that banks prove noted as well: this node may know none of those that are left.
    pub fn note_members(&self, keys: Arc<RoleKeys>) {
        // It is set once, at the start.
        let _ = self.keys.set(keys);
    }

    fn follow_members(&self, bank: BankId, changes: &[v1::MembershipChange]) {
        let Some(keys) = self.keys.get().filter(|_| !changes.is_empty()) else { return };
        let theirs: Vec<_> =
            changes.iter().filter_map(|change| MembershipChange::from_bytes(&change.change).ok()).collect();
        let own_height = self.ledger.read(Ledger::height);
        if theirs.last().is_none_or(|last| last.height() <= own_height.max(keys.followed_to())) {
            return;
        }
        // Theirs begin where this node's chain ends.
        let own = self.archive.membership_changes(keys.followed_to(), usize::MAX).unwrap_or_default();
        let own: Vec<_> = own.iter().filter_map(|(_, change)| MembershipChange::from_bytes(change).ok()).collect();
        keys.follow_proofs(&own, "this node's archive");
        keys.follow_proofs(&theirs, &format!("bank {bank}"));
    }

    /// Checks that nodes of the central bank signed a header, by the members here, or by those to which membership
    /// changes lead that this node lacks: from its own newest one on, or from genesis.
    fn check_signatures(&self, header: &SignedHeader, changes: &[v1::MembershipChange]) -> Result<(), ProofError> {
        let (present, genesis) = self.ledger.read(|ledger| {
            let members = ledger.members();
            let present = header.check_by_members(ledger.network(), members.header_signatures(), members);
            (present, ledger.genesis().clone())
        });
        if present.is_ok() || changes.is_empty() {
            return present;
        }
        let theirs = || changes.iter().filter_map(|change| MembershipChange::from_bytes(&change.change).ok());
        let by_theirs = FollowedMembership::of(&genesis).followed(theirs()).check_header(header);
        by_theirs.or_else(|error| match self.archive.followed_membership(&genesis) {
            Ok(own) => own.followed(theirs()).check_header(header),
            Err(_) => Err(error),
        })
    }

    /// Stores the evidence, and seals nothing from now on.
    fn keep(&self, lost: &Lost, known: &SignedHeader) {
        let is_new = self.lost.send_if_modified(|found| {
            let says_more = found.as_ref().is_none_or(|found| lost.says_more_than(found));
            if says_more {
                *found = Some(lost.clone());
            }
            says_more
        });
        if !is_new {
            return;
        }
        counter!(SECURITY, "kind" => "lost_blocks").increment(1);
        tracing::error!(target: "security", "{lost}");
        if let Err(error) = evidence::keep(self.archive.store(), known) {
            tracing::error!(%error, "the evidence could not be kept in the store");
        }
    }
}

/// The answer to every call but those for genesis and headers while blocks are missing.
fn refusal(lost: &Lost) -> Status {
    let heights = Outcome::refused(Reason::LostBlocks, lost.height.0, lost.own_height.0);
    of_outcome(&heights, lost.to_string())
}

#[tonic::async_trait]
impl Witness for Witnesses {
    fn require_whole(&self) -> Result<(), Status> {
        Witnesses::require_whole(self)
    }

    async fn testify(
        &self,
        (role, id): (Role, MemberId),
        testimony: v1::Testimony,
        keeps_blocks: bool,
    ) -> Result<(), Status> {
        if role != Role::Bank {
            return Ok(());
        }
        let bank = BankId(id.0);
        self.follow_members(bank, &testimony.membership_changes);
        self.compare((bank, keeps_blocks), &testimony).await?;
        if let Some(lost) = self.lost() {
            return Err(refusal(&lost));
        }
        let heard = Testimony { clock: Timestamp(testimony.clock_ms), own_clock: self.clock.wall() };
        self.testimonies.lock().unwrap_or_else(PoisonError::into_inner).insert(bank, heard);
        self.heard.send_replace(());
        Ok(())
    }
}
