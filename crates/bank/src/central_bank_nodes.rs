//! The nodes of the central bank, as this bank reaches them, and the one that it takes for the leader.
//!
//! Only the leader takes commands; every node serves the chain. The relay finds the leader ([`crate::leader_search`])
//! and names it here; whatever else the bank asks of the central bank begins there, and goes on to the other nodes if
//! that one does not answer ([`CentralBankNodes::first_of`]).
//!
//! The addresses are those of the configuration, and those that nodes of the central bank have named since: a node that
//! was admitted later is found that way. No address needs to be trusted, since a connection is made only to a node key
//! that membership names.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cbdc_proto::status::{leader_named_by, not_leader, refusal_of};
use cbdc_proto::transport::{ConnectError, NodeIdentity, ServerTrust, connect};
use cbdc_proto::v1;
use cbdc_proto::v1::leadership_client::LeadershipClient;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// The most addresses that are kept: those of the configuration, and further ones that nodes have named. A newer one
/// takes the place of the one that was named first.
const ADDRESSES_MAX: usize = 32;
/// The time after which the next node is asked as well, while one has not answered.
const NEXT_AFTER: Duration = Duration::from_millis(250);
/// The longest time for the answer to who leads.
const LEADERSHIP_TIMEOUT: Duration = Duration::from_secs(5);

/// The node of the central bank that this bank takes for the leader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PresentNode {
    pub address: Arc<str>,
    /// Whether it takes this bank's commands, as far as is known.
    pub leads: bool,
}

/// The term in which a node leads, and its number: two nodes may be elected in one term, of which the one with the
/// higher number is the later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct LeaderTerm {
    pub term: u64,
    pub member: u32,
}

/// What a node of the central bank says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Claim {
    /// It leads, in this term; `None` if it knows no terms, since it is of an earlier version.
    Leads(Option<LeaderTerm>),
    /// It does not. Another node does, where one is known.
    Follows(Option<Arc<str>>),
}

/// The central bank's nodes, and the keys that identify them.
pub struct CentralBankNodes {
    pub identity: NodeIdentity,
    trust: Trust,
    known: Mutex<Known>,
    present: watch::Sender<PresentNode>,
}

/// The keys of the central bank's nodes, by the present membership.
type Trust = Box<dyn Fn() -> ServerTrust + Send + Sync>;

struct Known {
    /// Those of the configuration first, then those that were named, in the order of their naming.
    addresses: Vec<Arc<str>>,
    configured: usize,
    /// Connections that are kept to ask who leads, and to submit.
    channels: HashMap<Arc<str>, Channel>,
    /// The term of the node that led last.
    term: LeaderTerm,
}

impl CentralBankNodes {
    /// The nodes at these addresses, of which there is at least one.
    pub fn new(addresses: &[String], identity: NodeIdentity, trust: Trust) -> CentralBankNodes {
        let mut known: Vec<Arc<str>> = Vec::new();
        for address in addresses {
            if !known.iter().any(|found| **found == **address) {
                known.push(address.as_str().into());
            }
        }
        let first = known.first().expect("a configuration names at least one address").clone();
        let present = watch::Sender::new(PresentNode { address: first, leads: false });
        let configured = known.len();
        let known = Known { addresses: known, configured, channels: HashMap::new(), term: LeaderTerm::default() };
        CentralBankNodes { identity, trust, known: Mutex::new(known), present }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is more than one: only then is there another one to ask.
    pub fn are_several(&self) -> bool {
        self.known().addresses.len() > 1
    }

    /// All addresses, that of the present node first.
    pub fn in_order(&self) -> Vec<Arc<str>> {
        let present = self.present().address;
        let mut addresses = vec![present.clone()];
        addresses.extend(self.known().addresses.iter().filter(|address| **address != present).cloned());
        addresses
    }

    /// Keeps an address that a node of the central bank has named.
    pub fn remember(&self, address: &str) -> Arc<str> {
        let mut known = self.known();
        if let Some(found) = known.addresses.iter().find(|found| ***found == *address) {
            return found.clone();
        }
        let address: Arc<str> = address.into();
        if known.addresses.len() >= ADDRESSES_MAX {
            let present = self.present();
            let named = known.addresses.iter().skip(known.configured);
            let Some(at) = named.clone().position(|named| *named != present.address) else { return address };
            let at = known.configured + at;
            let forgotten = known.addresses.remove(at);
            known.channels.remove(&forgotten);
        }
        tracing::info!(%address, "a node of the central bank names another one");
        known.addresses.push(address.clone());
        address
    }

    /// The node that this bank takes for the leader.
    pub fn present(&self) -> PresentNode {
        self.present.borrow().clone()
    }

    /// Notifies of changes of the present node.
    pub fn watch(&self) -> watch::Receiver<PresentNode> {
        self.present.subscribe()
    }

    /// Names the node that leads, and its term; returns whether it is another one than before.
    pub fn found_leader(&self, address: &Arc<str>, term: Option<LeaderTerm>) -> bool {
        if let Some(term) = term {
            self.known().term = term;
        }
        let is_other = *self.present.borrow().address != **address;
        self.present.send_replace(PresentNode { address: address.clone(), leads: true });
        is_other
    }

    /// Notes that the present node takes no commands any more, as far as this bank can see.
    pub fn lost_leader(&self) {
        self.present.send_if_modified(|present| std::mem::take(&mut present.leads));
    }

    /// The term of the node that led last, as far as this bank knows.
    pub fn newest_term(&self) -> LeaderTerm {
        self.known().term
    }

    /// A new channel to the node at an address, connected at its first use.
    pub fn channel(&self, address: &str) -> Result<Channel, ConnectError> {
        connect(address, Some(&self.identity), &(self.trust)())
    }

    /// The channel to a node that is kept for submitting, and for asking who leads.
    pub fn kept_channel(&self, address: &Arc<str>) -> Result<Channel, Status> {
        if let Some(channel) = self.known().channels.get(address) {
            return Ok(channel.clone());
        }
        let channel = self.channel(address).map_err(|error| Status::unavailable(error.to_string()))?;
        self.known().channels.insert(address.clone(), channel.clone());
        Ok(channel)
    }

    /// Gives up the kept channel to a node, which may hang: the next one connects anew.
    pub fn forget_channel(&self, address: &Arc<str>) {
        self.known().channels.remove(address);
    }

    /// Asks a node whether it leads.
    pub async fn claim_of(&self, address: &Arc<str>) -> Result<Claim, Status> {
        let mut client = LeadershipClient::new(self.kept_channel(address)?);
        let asked = client.get_leadership(v1::GetLeadershipRequest {});
        let late = |_| Err(Status::deadline_exceeded(format!("no answer within {} s", LEADERSHIP_TIMEOUT.as_secs())));
        let answer = match tokio::time::timeout(LEADERSHIP_TIMEOUT, asked).await.unwrap_or_else(late) {
            Ok(answer) => answer.into_inner(),
            Err(status) if status.code() == Code::Unimplemented => return Ok(Claim::Leads(None)),
            Err(status) => {
                if refusal_of(&status).is_none() {
                    self.forget_channel(address);
                }
                return Err(status);
            }
        };
        if answer.leader == Some(answer.member) {
            let others = answer.nodes.iter().filter(|node| node.member != answer.member);
            others.filter(|node| !node.address.is_empty()).for_each(|node| drop(self.remember(&node.address)));
            return Ok(Claim::Leads(Some(LeaderTerm { term: answer.term, member: answer.member })));
        }
        let leader = answer.nodes.iter().find(|node| Some(node.member) == answer.leader);
        Ok(Claim::Follows(leader.map(|node| node.address.as_str()).filter(|at| !at.is_empty()).map(Arc::from)))
    }

    /// A node other than the one at `than`, if one says that it leads in a later term than `term`. All are asked at
    /// once, and the first that says so counts.
    pub async fn later_leader(self: Arc<Self>, than: Arc<str>, term: Option<LeaderTerm>) -> Option<Arc<str>> {
        let newest = self.newest_term().max(term.unwrap_or_default());
        let others = self.in_order().into_iter().filter(|address| *address != than);
        let mut asked: FuturesUnordered<_> = others
            .map(|address| {
                let nodes = self.clone();
                async move { (nodes.claim_of(&address).await, address) }
            })
            .collect();
        while let Some((claim, address)) = asked.next().await {
            if let Ok(Claim::Leads(Some(found))) = claim
                && found > newest
            {
                return Some(address);
            }
        }
        None
    }

    /// Makes an attempt at the present node, and at the others if that one fails or has not answered for a while. The
    /// first success counts. For attempts that may be made at several nodes at once.
    ///
    /// # Errors
    /// The present node's status, or that of the node which it names as the leader.
    pub async fn first_of<T, F>(&self, attempt: impl Fn(Arc<str>) -> F) -> Result<(Arc<str>, T), Status>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let mut addresses = VecDeque::from(self.in_order());
        let (mut running, mut first_failure) = (FuturesUnordered::new(), None);
        let mut tried = Vec::new();
        loop {
            if let Some(address) = addresses.pop_front() {
                tried.push(address.clone());
                let attempt = attempt(address.clone());
                running.push(async move { (attempt.await, address) });
            }
            let ended = tokio::select! {
                ended = running.next() => ended,
                () = tokio::time::sleep(NEXT_AFTER), if !addresses.is_empty() => continue,
            };
            match ended {
                Some((Ok(done), address)) => return Ok((address, done)),
                Some((Err(status), _)) => {
                    if let Some(Some(named)) = leader_named_by(&status) {
                        let named = self.remember(&named);
                        addresses.retain(|address| *address != named);
                        if !tried.contains(&named) {
                            addresses.push_front(named);
                        }
                    }
                    // What the leader says matters more than that another node does not lead.
                    let is_more = first_failure.as_ref().is_none_or(|found| leader_named_by(found).is_some());
                    if is_more {
                        first_failure = Some(status);
                    }
                }
                None if addresses.is_empty() => return Err(first_failure.unwrap_or_else(|| not_leader(None))),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn nodes(addresses: &[&str]) -> CentralBankNodes {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("node.pem"), folder.path().join("node.key"));
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let made = rcgen::CertificateParams::new(vec!["bank".to_owned()]).unwrap().self_signed(&pair).unwrap();
        std::fs::write(&certificate, made.pem()).unwrap();
        std::fs::write(&key, pair.serialize_pem()).unwrap();
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let identity = NodeIdentity::load(&certificate, &key).unwrap();
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        CentralBankNodes::new(&addresses, identity, Box::new(|| ServerTrust::AnyKey))
    }

    /// The addresses at which attempts were made, and the result, where each node answers as `answer` says.
    async fn tried(
        nodes: &CentralBankNodes,
        answer: impl Fn(&str) -> Result<(), Status>,
    ) -> (Vec<String>, Result<String, Status>) {
        let tried = RefCell::new(Vec::new());
        let found = nodes.first_of(|address| {
            tried.borrow_mut().push(address.to_string());
            let answered = answer(&address);
            async move { answered }
        });
        let found = found.await.map(|(address, ())| address.to_string());
        (tried.into_inner(), found)
    }

    #[tokio::test]
    async fn the_present_node_is_asked_first_and_the_named_leader_next() {
        let nodes = nodes(&["a:1", "b:2", "c:3"]);
        nodes.found_leader(&"b:2".into(), Some(LeaderTerm { term: 3, member: 2 }));
        let (asked, found) = tried(&nodes, |_| Ok(())).await;
        assert_eq!((asked, found.unwrap()), (vec!["b:2".to_owned()], "b:2".to_owned()));
        let (asked, found) = tried(&nodes, |at| if at == "c:3" { Ok(()) } else { Err(not_leader(Some("c:3"))) }).await;
        assert_eq!((asked, found.unwrap()), (vec!["b:2".to_owned(), "c:3".to_owned()], "c:3".to_owned()));
    }

    #[tokio::test]
    async fn a_node_that_only_a_hint_names_is_asked_and_remembered() {
        let nodes = nodes(&["a:1"]);
        assert!(!nodes.are_several());
        let (asked, found) = tried(&nodes, |at| if at == "n:9" { Ok(()) } else { Err(not_leader(Some("n:9"))) }).await;
        assert_eq!((asked, found.unwrap()), (vec!["a:1".to_owned(), "n:9".to_owned()], "n:9".to_owned()));
        assert!(nodes.are_several());
    }

    #[tokio::test]
    async fn nodes_that_name_each_other_are_each_asked_once() {
        let nodes = nodes(&["a:1", "b:2"]);
        let other = |at: &str| Err(not_leader(Some(if at == "a:1" { "b:2" } else { "a:1" })));
        let (asked, found) = tried(&nodes, other).await;
        assert_eq!(asked, ["a:1", "b:2"]);
        assert!(leader_named_by(&found.unwrap_err()).is_some());
    }

    #[tokio::test]
    async fn what_the_leader_says_counts_for_more_than_that_others_do_not_lead() {
        let nodes = nodes(&["a:1", "b:2"]);
        let answer =
            |at: &str| if at == "a:1" { Err(not_leader(None)) } else { Err(Status::failed_precondition("no")) };
        assert_eq!(tried(&nodes, answer).await.1.unwrap_err().code(), Code::FailedPrecondition);
    }

    #[tokio::test]
    async fn a_node_that_never_answers_does_not_hold_up_the_next_one() {
        let nodes = nodes(&["a:1", "b:2"]);
        let found = nodes.first_of(|address| async move {
            if &*address == "a:1" {
                std::future::pending::<()>().await;
            }
            Ok(())
        });
        assert_eq!(&*found.await.unwrap().0, "b:2");
    }

    #[test]
    fn names_are_kept_up_to_a_bound_and_newer_ones_take_the_place_of_older_ones() {
        let nodes = nodes(&["a:1"]);
        let leader = nodes.remember("l:1");
        nodes.found_leader(&leader, Some(LeaderTerm { term: 1, member: 1 }));
        (0..2 * ADDRESSES_MAX).for_each(|number| drop(nodes.remember(&format!("b:{number}"))));
        let kept = nodes.in_order();
        assert_eq!(kept.len(), ADDRESSES_MAX);
        // The configured one, the leader, and those that were named last.
        let newest = format!("b:{}", 2 * ADDRESSES_MAX - 1);
        assert!(["a:1", "l:1", &newest].iter().all(|address| kept.iter().any(|kept| **kept == **address)), "{kept:?}");
        assert!(!kept.iter().any(|kept| **kept == *"b:0"), "{kept:?}");
    }
}
