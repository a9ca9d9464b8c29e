//! Three nodes of the central bank on loopback: one leads, and the others take over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cbdc_central_bank::config::{OrderingMember, OrderingSection};
use cbdc_central_bank::{Config, Environment, Node, prepare_data_folder, start, start_on};
use cbdc_client::{Choice, Connection, GovernanceClient, MemberSigner, NodeName, SubmissionStatus, read_signing_key};
use cbdc_devnet::{Network, NetworkSpec, Ports};
use cbdc_ledger::command::{GovernanceAction, Head, IssuanceKind, IssuanceRequest, Record, Signed};
use cbdc_ledger::member::{Member, Role};
use cbdc_ledger::{Amount, BankId, Command, Height, Ledger, MemberId, Reason, SigningKey, VerifiedProposal};
use cbdc_node::Archive;
use cbdc_node::archive::NoProposals;
use cbdc_node::recovery::{self, CheckpointSigner};
use cbdc_ordering::{Ordering, OrderingConfig};
use cbdc_proto::convert::header_from_message;
use cbdc_proto::internal::JoinRequest;
use cbdc_proto::internal::sealing_client::SealingClient;
use cbdc_proto::status::{leader_named_by, refusal_of};
use cbdc_proto::transport::{NodeIdentity, ServerTrust, connect, refuses_certificate};
use cbdc_proto::v1;
use cbdc_proto::v1::chain_client::ChainClient;
use cbdc_proto::v1::leadership_client::LeadershipClient;
use cbdc_proto::v1::policy_client::PolicyClient;
use cbdc_proto::v1::settlement_client::SettlementClient;
use cbdc_storage::{CheckpointStore, MemoryStore, RocksStore, Store};
use tonic::Status;
use tonic::transport::Channel;

use crate::running::{opening_of, remove_checkpoints};

/// The longest time that anything takes here.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The nodes of one network.
struct Replicas {
    network: Network,
    nodes: Vec<Replica>,
    _folder: tempfile::TempDir,
}

/// A node; `None` for one that does not run.
struct Replica {
    config: Config,
    node: Option<Node>,
}

impl Replicas {
    async fn start(spec: NetworkSpec) -> Replicas {
        let count = spec.central_banks.into();
        Replicas::start_first(spec, count).await
    }

    /// Starts the first nodes of a network.
    async fn start_first(spec: NetworkSpec, count: usize) -> Replicas {
        let folder = tempfile::tempdir().unwrap();
        let spec = NetworkSpec { ports: Ports::Free, banks: 2, ..spec };
        let network = Network::create(&folder.path().join("net"), &spec).unwrap();
        let names: Vec<NodeName> = network.central_banks().collect();
        let started = names.iter().take(count).map(|name| start(config(&network, *name)));
        let started = futures::future::join_all(started).await.into_iter().map(|node| Some(node.unwrap()));
        let configs = names.iter().map(|name| config(&network, *name));
        let started = started.chain(std::iter::repeat_with(|| None));
        let nodes = configs.zip(started).map(|(config, node)| Replica { config, node }).collect();
        Replicas { network, nodes, _folder: folder }
    }

    async fn three() -> Replicas {
        Replicas::start(NetworkSpec { central_banks: 3, ..NetworkSpec::default() }).await
    }

    fn channel(&self, node: usize, role: Role, id: u16) -> Channel {
        let identity = self.network.identity(role, MemberId(id)).unwrap();
        let config = &self.nodes[node].config;
        connect(&config.listen.to_string(), Some(&identity), &trust(config)).unwrap()
    }

    async fn leadership(&self, node: usize) -> Result<v1::GetLeadershipResponse, Status> {
        let mut client = LeadershipClient::new(self.channel(node, Role::Bank, 1));
        client.get_leadership(v1::GetLeadershipRequest {}).await.map(tonic::Response::into_inner)
    }

    /// The node that leads, and the two others of three.
    async fn leader_and_others(&self) -> (usize, [usize; 2]) {
        let leader = self.leader().await;
        let others: Vec<usize> = self.running().into_iter().filter(|node| *node != leader).collect();
        (leader, others.try_into().expect("three nodes run"))
    }

    /// The node that leads and takes commands.
    async fn leader(&self) -> usize {
        let began = Instant::now();
        loop {
            for node in self.running() {
                let known = self.leadership(node).await;
                if known.is_ok_and(|known| known.leader == Some(known.member)) {
                    return node;
                }
            }
            assert!(began.elapsed() < TIMEOUT, "a node leads in time");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn running(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].node.is_some()).collect()
    }

    async fn submit(&self, node: usize, command: &Command) -> Result<v1::Outcome, Status> {
        let mut client = SettlementClient::new(self.channel(node, Role::Bank, 1));
        let request = v1::SubmitCommandRequest { command: command.to_bytes().into() };
        client.submit_command(request).await.map(tonic::Response::into_inner)
    }

    /// Submits a command until it settles, wherever that is possible. Returns the outcome.
    async fn settle(&self, command: &Command) -> v1::Outcome {
        let began = Instant::now();
        loop {
            for node in self.running() {
                match self.submit(node, command).await {
                    Ok(outcome) => {
                        assert!(outcome.settled, "{outcome:?}");
                        return outcome;
                    }
                    Err(status) => assert!(is_open(&status), "{status:?}"),
                }
            }
            assert!(began.elapsed() < TIMEOUT, "it settles in time");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The header of each running node at a height, once it has it.
    async fn headers(&self, height: u64) -> Vec<v1::SignedHeader> {
        let mut headers = Vec::new();
        for node in self.running() {
            let mut client = ChainClient::new(self.channel(node, Role::Auditor, 1));
            let began = Instant::now();
            headers.push(loop {
                let request = v1::GetHeaderRequest { height: Some(height) };
                match client.get_header(request).await {
                    Ok(header) => break header.into_inner(),
                    Err(status) => assert!(began.elapsed() < TIMEOUT, "{status:?}"),
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            });
        }
        headers
    }

    async fn stop(&mut self, node: usize) {
        self.nodes[node].node.take().unwrap().shutdown().await;
    }

    async fn start_again(&mut self, node: usize) {
        self.nodes[node].node = Some(start(self.nodes[node].config.clone()).await.unwrap());
    }

    async fn end(mut self) {
        for node in self.running() {
            self.stop(node).await;
        }
    }
}

/// Whether a status says that nothing is known.
fn is_open(status: &Status) -> bool {
    refusal_of(status).is_none_or(|refusal| refusal.reason.leaves_status_open())
}

fn trust(config: &Config) -> ServerTrust {
    ServerTrust::NodeKey(NodeIdentity::load(&config.certificate, &config.private_key).unwrap().public_key())
}

fn config(network: &Network, node: NodeName) -> Config {
    Config::load(&network.config_path(node)).unwrap()
}

/// Every running node has the same header at the height of `outcome`, with that many signatures.
async fn check_same(replicas: &Replicas, outcome: &v1::Outcome, signatures: usize) {
    check_same_at(replicas, outcome.height, signatures).await;
}

async fn check_same_at(replicas: &Replicas, height: u64, signatures: usize) {
    let headers = replicas.headers(height).await;
    for header in &headers {
        assert_eq!(header.header, headers[0].header);
        assert!(header.signatures.len() >= signatures, "{} signatures", header.signatures.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_says_who_leads_and_every_node_has_the_same_chain() {
    let replicas = Replicas::three().await;
    let outcome = replicas.settle(&opening_of(&replicas.network, 1, 1)).await;
    check_same(&replicas, &outcome, 1).await;
    'again: loop {
        let leader = replicas.leader().await;
        let address = replicas.nodes[leader].config.listen.to_string();
        for follower in replicas.running().into_iter().filter(|node| *node != leader) {
            match replicas.submit(follower, &opening_of(&replicas.network, 1, 2)).await {
                Err(refused) if leader_named_by(&refused) == Some(Some(address.clone())) => {}
                // Leadership moved between the question and the submission.
                _ if replicas.leader().await != leader => continue 'again,
                found => panic!("{address} leads, and a follower said {found:?}"),
            }
            let known = replicas.leadership(follower).await.unwrap();
            assert_eq!(known.nodes.len(), 3);
            assert!(known.height >= outcome.height);
        }
        break;
    }
    replicas.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_settled_is_there_after_each_node_in_turn_was_away() {
    let mut replicas = Replicas::three().await;
    let mut outcomes = vec![replicas.settle(&opening_of(&replicas.network, 1, 1)).await];
    for number in 2..5 {
        let leader = replicas.leader().await;
        replicas.stop(leader).await;
        let command = opening_of(&replicas.network, 1, number);
        outcomes.push(replicas.settle(&command).await);
        replicas.start_again(leader).await;
        // The same command again has its first outcome, on whichever node leads now.
        let again = replicas.settle(&command).await;
        assert_eq!(again, *outcomes.last().unwrap());
    }
    for outcome in &outcomes {
        check_same(&replicas, outcome, 1).await;
    }
    replicas.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over_by_command_and_nothing_is_refused_meanwhile() {
    let replicas = Replicas::three().await;
    replicas.settle(&opening_of(&replicas.network, 1, 1)).await;
    let successor = replicas.change_leader_by_hand_over().await;
    let outcome = replicas.settle(&opening_of(&replicas.network, 1, 2)).await;
    check_same(&replicas, &outcome, 1).await;
    // A bank may not ask for it.
    let mut bank = LeadershipClient::new(replicas.channel(successor, Role::Bank, 1));
    let refused = bank.hand_over(v1::HandOverRequest { successor: None }).await.unwrap_err();
    assert_eq!(refusal_of(&refused).unwrap().reason, Reason::NotAuthorised);
    replicas.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_no_majority_follows_names_none() {
    let mut replicas = Replicas::three().await;
    let leader = replicas.leader().await;
    for follower in replicas.running().into_iter().filter(|node| *node != leader) {
        replicas.stop(follower).await;
    }
    let began = Instant::now();
    while replicas.leadership(leader).await.unwrap().leader.is_some() {
        assert!(began.elapsed() < TIMEOUT, "it names none in time");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // With one of the others there is a majority, and a leader.
    replicas.start_again((leader + 1) % 3).await;
    replicas.leader().await;
    replicas.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_counts_once_as_many_nodes_have_signed_it_as_membership_says() {
    let spec = NetworkSpec { central_banks: 3, header_signatures: 2, ..NetworkSpec::default() };
    let mut replicas = Replicas::start(spec).await;
    replicas.leader().await;
    let outcome = replicas.settle(&opening_of(&replicas.network, 1, 1)).await;
    check_same(&replicas, &outcome, 2).await;
    // Two of three are enough, and what they sealed has two signatures everywhere after a restart.
    let leader = replicas.leader().await;
    replicas.stop(leader).await;
    let outcome = replicas.settle(&opening_of(&replicas.network, 1, 2)).await;
    replicas.start_again(leader).await;
    check_same(&replicas, &outcome, 2).await;
    replicas.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lacks_signatures_is_not_told() {
    let spec = NetworkSpec { central_banks: 3, header_signatures: 2, ..NetworkSpec::default() };
    let mut replicas = Replicas::start(spec).await;
    let before = replicas.settle(&opening_of(&replicas.network, 1, 1)).await;
    check_same(&replicas, &before, 2).await;
    for node in replicas.running() {
        replicas.stop(node).await;
    }
    // One node orders alone by order, and has nobody who signs with it.
    let by_order = Config { go_on_alone: true, ..replicas.nodes[0].config.clone() };
    replicas.nodes[0].node = Some(start(by_order).await.unwrap());
    replicas.wait_for_voters(&[1]).await;
    let command = opening_of(&replicas.network, 1, 2);
    let applied = |replicas: &Replicas| replicas.nodes[0].node.as_ref().unwrap().height().0;
    let impatience = Duration::from_secs(1);
    while applied(&replicas) == before.height {
        let answered = tokio::time::timeout(impatience, replicas.submit(0, &command)).await;
        assert!(!answered.is_ok_and(|answer| answer.is_ok()), "it was answered, and has one signature");
    }
    // It is applied there now. A copy has no answer either, and no balance shows it.
    let answered = tokio::time::timeout(impatience, replicas.submit(0, &command)).await;
    assert!(answered.is_err(), "{answered:?}");
    let mut policy = PolicyClient::new(replicas.channel(0, Role::Bank, 1));
    let told = policy.get_supply(v1::GetSupplyRequest {}).await.unwrap_err();
    assert!(told.message().contains("not signed yet"), "{told:?}");
    // Once another node signs as well, it is the first outcome that counts.
    let config = &mut replicas.nodes[1].config;
    config.data_dir = replicas._folder.path().join("empty");
    config.ordering.as_mut().unwrap().join = true;
    prepare_data_folder(config, false).unwrap();
    replicas.start_again(1).await;
    let outcome = replicas.settle(&command).await;
    assert_eq!(outcome.height, before.height + 1);
    check_same(&replicas, &outcome, 2).await;
    assert!(policy.get_supply(v1::GetSupplyRequest {}).await.unwrap().into_inner().height >= outcome.height);
    replicas.end().await;
}

/// A node that genesis does not name, with keys and a folder of its own.
struct Newcomer {
    config: Config,
    member: Member,
    _folder: tempfile::TempDir,
}

impl Newcomer {
    /// The node `number`, which joins the network that `config` is of.
    fn new(config: &Config, number: u16) -> Newcomer {
        let (other, folder) = crate::running::network();
        let own = crate::running::config(&other);
        let listen = cbdc_devnet::free_address().unwrap();
        let mut members = config.ordering.clone().unwrap().members;
        members.push(OrderingMember { member: number, address: listen.to_string() });
        let joining = Config {
            member: number,
            data_dir: folder.path().join("joining"),
            listen,
            metrics_listen: None,
            ordering: Some(OrderingSection { join: true, ..OrderingSection::of(members) }),
            certificate: own.certificate.clone(),
            private_key: own.private_key.clone(),
            signing_key: own.signing_key.clone(),
            ..config.clone()
        };
        prepare_data_folder(&joining, true).unwrap();
        let node_key = NodeIdentity::load(&own.certificate, &own.private_key).unwrap().public_key();
        let signing_key = read_signing_key(&own.signing_key).unwrap().public_key();
        let (role, id) = (Role::CentralBank, MemberId(number));
        let member = Member { role, id, name: "A new node".to_owned(), signing_key, node_key: Some(node_key) };
        Newcomer { config: joining, member, _folder: folder }
    }
}

impl Replicas {
    /// Has the committee decide, on whichever node leads.
    async fn decide(&self, actions: &[GovernanceAction]) {
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < TIMEOUT, "the committee decides in time");
            let leader = self.leader().await;
            let member = |id| {
                let connection = self.connection(leader, Role::Committee, id);
                let key = self.network.signing_key(Role::Committee, MemberId(id)).unwrap();
                let signer = MemberSigner::new(Role::Committee, MemberId(id), key);
                GovernanceClient::new(connection, self.network.anchor().clone()).with_signer(signer)
            };
            let (now, later) = (crate::running::now(), crate::running::now().plus_ms(60_000));
            let Ok(proposed) = member(1).propose(actions.to_vec(), now, later).await else { continue };
            let Ok((_, number)) = proposed.result() else { continue };
            if member(2).vote(number, Choice::Approve).await.is_ok() {
                return;
            }
        }
    }

    /// Waits until the nodes that vote are these, as the leader knows them.
    async fn wait_for_voters(&self, expected: &[u32]) {
        let began = Instant::now();
        loop {
            let leader = self.leader().await;
            let known = self.leadership(leader).await;
            let voters = known.map(|known| {
                let voters = known.nodes.iter().filter(|node| node.part() != v1::NodePart::Learner);
                voters.map(|node| node.member).collect::<Vec<_>>()
            });
            if voters.as_deref().is_ok_and(|voters| voters == expected) {
                return;
            }
            assert!(began.elapsed() < TIMEOUT, "{expected:?} vote in time, found {voters:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_committee_admits_a_node_that_learns_and_votes_and_dismisses_another() {
    let mut replicas = Replicas::three().await;
    let before = replicas.settle(&opening_of(&replicas.network, 1, 1)).await;
    let newcomer = Newcomer::new(&replicas.nodes[0].config, 4);
    // It asks from the start, and is not let in before the committee has decided.
    let node = start(newcomer.config.clone()).await.unwrap();
    replicas.nodes.push(Replica { config: newcomer.config.clone(), node: Some(node) });
    replicas.wait_for_voters(&[1, 2, 3]).await;
    // It can tell that it is not known from a node that is away.
    let (identity, at) = (&newcomer.config, &replicas.nodes[0].config);
    let identity = NodeIdentity::load(&identity.certificate, &identity.private_key).unwrap();
    let began = Instant::now();
    loop {
        let channel = connect(&at.listen.to_string(), Some(&identity), &trust(at)).unwrap();
        let refused = LeadershipClient::new(channel).get_leadership(v1::GetLeadershipRequest {}).await.unwrap_err();
        // The connection may be closed before the reason is read.
        if refuses_certificate(&refused) {
            break;
        }
        assert!(began.elapsed() < TIMEOUT, "{refused:?}");
    }
    replicas.decide(&[GovernanceAction::AdmitMember(newcomer.member.clone())]).await;
    replicas.wait_for_voters(&[1, 2, 3, 4]).await;
    // The one that leads is dismissed, and stops.
    let leader = replicas.leader().await;
    let gone = replicas.nodes[leader].config.member;
    replicas.decide(&[GovernanceAction::DismissMember { role: Role::CentralBank, id: MemberId(gone) }]).await;
    assert_eq!(replicas.dismissed(leader).await, 1, "leadership was handed over, not lost");
    let again = start(replicas.nodes[leader].config.clone()).await.err().expect("it was dismissed").to_string();
    assert!(again.contains("was dismissed at height"), "{again}");
    let others: Vec<u32> = (1..=4).filter(|node| *node != u32::from(gone)).collect();
    replicas.wait_for_voters(&others).await;
    let after = replicas.settle(&opening_of(&replicas.network, 1, 2)).await;
    // The newcomer has the whole chain too, with the signatures of those that were there.
    for height in [before.height, after.height] {
        check_same_at(&replicas, height, 1).await;
    }
    replicas.end().await;
}

/// Bank 1's request with a sequence number.
fn request_of(replicas: &Replicas, sequence: u64) -> Signed<IssuanceRequest> {
    let key = replicas.network.signing_key(Role::Bank, MemberId(1)).unwrap();
    let head = Head { flags: 0, key_version: 0, sequence, valid_until: crate::running::now().plus_ms(600_000) };
    let (kind, amount) = (IssuanceKind::Issue, Amount::from_minor(100));
    IssuanceRequest { kind, head, bank: BankId(1), amount }.sign(replicas.network.anchor().network(), &key)
}

impl Replicas {
    /// Has a request wait for the operator, at whichever node leads.
    async fn ask_to_wait(&self, request: &Signed<IssuanceRequest>) {
        let asked = self.at_leader(|channel| async move {
            let message = v1::RequestIssuanceRequest { request: request.to_bytes().into() };
            SettlementClient::new(channel).request_issuance(message).await
        });
        assert_eq!(asked.await.into_inner().outcome, None, "it waits for the operator");
    }

    fn operator(&self, node: usize) -> GovernanceClient {
        let connection = self.connection(node, Role::Operator, 1);
        let key = self.network.signing_key(Role::Operator, MemberId(1)).unwrap();
        let signer = MemberSigner::new(Role::Operator, MemberId(1), key);
        GovernanceClient::new(connection, self.network.anchor().clone()).with_signer(signer)
    }

    /// Tries to have a request ordered, which must be refused because it was rejected.
    async fn check_rejected(&self, request: Signed<IssuanceRequest>) {
        let leader = self.leader().await;
        let SubmissionStatus::Refused(refusal) = self.operator(leader).endorse(request).await.unwrap() else {
            panic!("the rejected request was ordered");
        };
        assert_eq!(refusal.reason(), Reason::RequestRejected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_do_not_know_the_leader_follow_membership_to_it() {
    let mut replicas = Replicas::three().await;
    replicas.settle(&opening_of(&replicas.network, 1, 1)).await;
    // One node is away while a node is admitted that genesis does not name, and leads.
    let first = replicas.leader().await;
    let away = replicas.running().into_iter().find(|node| *node != first).unwrap();
    replicas.stop(away).await;
    let newcomer = Newcomer::new(&replicas.nodes[first].config, 4);
    replicas.decide(&[GovernanceAction::AdmitMember(newcomer.member.clone())]).await;
    let node = start(newcomer.config.clone()).await.unwrap();
    replicas.nodes.push(Replica { config: newcomer.config.clone(), node: Some(node) });
    replicas.wait_for_voters(&[1, 2, 3, 4]).await;
    replicas.hand_over_to(3).await;
    // Another newcomer has only genesis, and lists the nodes that it names.
    let mut fifth = Newcomer::new(&replicas.nodes[first].config, 5);
    fifth.config.ordering.as_mut().unwrap().members.retain(|member| member.member != 4);
    replicas.decide(&[GovernanceAction::AdmitMember(fifth.member.clone())]).await;
    let node = start(fifth.config.clone()).await.unwrap();
    replicas.nodes.push(Replica { config: fifth.config.clone(), node: Some(node) });
    replicas.wait_for_voters(&[1, 2, 3, 4, 5]).await;
    replicas.start_again(away).await;
    let outcome = replicas.settle(&opening_of(&replicas.network, 1, 2)).await;
    check_same(&replicas, &outcome, 1).await;
    replicas.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_while_its_keys_were_replaced_starts_with_the_new_ones() {
    let mut replicas = Replicas::three().await;
    replicas.settle(&opening_of(&replicas.network, 1, 1)).await;
    let leader = replicas.leader().await;
    let away = replicas.running().into_iter().find(|node| *node != leader).unwrap();
    replicas.stop(away).await;
    // Membership changes while the former keys are in force, and then they are replaced.
    let newcomer = Newcomer::new(&replicas.nodes[leader].config, 4);
    replicas.decide(&[GovernanceAction::AdmitMember(newcomer.member.clone())]).await;
    let keys = Newcomer::new(&replicas.nodes[leader].config, 5);
    let (role, id) = (Role::CentralBank, MemberId(replicas.nodes[away].config.member));
    let Member { signing_key, node_key, .. } = keys.member;
    replicas.decide(&[GovernanceAction::ReplaceKeys { role, id, signing_key, node_key }]).await;
    let Config { certificate, private_key, signing_key, .. } = keys.config.clone();
    let former = replicas.nodes[away].config.clone();
    replicas.nodes[away].config = Config { certificate, private_key, signing_key, ..former };
    replicas.start_again(away).await;
    let outcome = replicas.settle(&opening_of(&replicas.network, 1, 2)).await;
    check_same(&replicas, &outcome, 1).await;
    replicas.hand_over_to(away).await;
    let outcome = replicas.settle(&opening_of(&replicas.network, 1, 3)).await;
    check_same(&replicas, &outcome, 1).await;
    replicas.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_majority_elects_although_one_of_it_knew_neither_the_other_nor_any_node_that_is_left() {
    let mut replicas = Replicas::three().await;
    replicas.settle(&opening_of(&replicas.network, 1, 1)).await;
    let (first, [away, gone]) = replicas.leader_and_others().await;
    replicas.stop(away).await;
    let newcomer = Newcomer::new(&replicas.nodes[first].config, 4);
    replicas.decide(&[GovernanceAction::AdmitMember(newcomer.member.clone())]).await;
    let node = start(newcomer.config.clone()).await.unwrap();
    replicas.nodes.push(Replica { config: newcomer.config.clone(), node: Some(node) });
    replicas.wait_for_voters(&[1, 2, 3, 4]).await;
    let id = MemberId(replicas.nodes[gone].config.member);
    replicas.decide(&[GovernanceAction::DismissMember { role: Role::CentralBank, id }]).await;
    replicas.dismissed(gone).await;
    replicas.wait_for_voters(&(1..=4).filter(|node| *node != u32::from(id.0)).collect::<Vec<_>>()).await;
    for node in replicas.running() {
        replicas.stop(node).await;
    }
    // Its configuration names the newcomer, of whose key it knows nothing.
    let listed = newcomer.config.ordering.as_ref().unwrap().members.clone();
    replicas.nodes[away].config.ordering.as_mut().unwrap().members = listed;
    replicas.start_again(away).await;
    replicas.start_again(3).await;
    let outcome = replicas.settle(&opening_of(&replicas.network, 1, 2)).await;
    check_same(&replicas, &outcome, 1).await;
    replicas.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_waits_and_a_rejection_stands_whichever_node_leads() {
    let spec = NetworkSpec { central_banks: 3, automatic_operator: false, ..NetworkSpec::default() };
    let mut replicas = Replicas::start(spec).await;
    // A block first: a chain without one has nothing to take over.
    replicas.settle(&opening_of(&replicas.network, 1, 9)).await;
    let requests = [request_of(&replicas, 1), request_of(&replicas, 2)];
    let stranger = SigningKey::from_seed([3; 32]);
    let forged = request_of(&replicas, 3).record.sign(replicas.network.anchor().network(), &stranger);
    let message = v1::RequestIssuanceRequest { request: forged.to_bytes().into() };
    let leader = replicas.leader().await;
    let mut bank = SettlementClient::new(replicas.channel(leader, Role::Bank, 1));
    let refused = bank.request_issuance(message).await.unwrap_err();
    assert_eq!(refusal_of(&refused).unwrap().reason, Reason::BadSignature);
    for request in &requests {
        replicas.ask_to_wait(request).await;
    }
    replicas.change_leader().await;
    let leader = replicas.leader().await;
    assert_eq!(replicas.operator(leader).waiting_requests().await.unwrap(), requests);
    replicas.operator(leader).reject(&requests[0]).await.unwrap();

    replicas.change_leader().await;
    let leader = replicas.leader().await;
    assert_eq!(replicas.operator(leader).waiting_requests().await.unwrap(), requests[1..]);
    replicas.check_rejected(requests[0]).await;
    replicas.operator(leader).endorse(requests[1]).await.unwrap().settled().unwrap();
    replicas.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejection_stands_when_those_that_kept_it_vote_no_more() {
    let spec = NetworkSpec { central_banks: 3, automatic_operator: false, ..NetworkSpec::default() };
    let mut replicas = Replicas::start(spec).await;
    replicas.settle(&opening_of(&replicas.network, 1, 9)).await;
    // One node is away while the two others keep a rejection.
    let (leader, [away, gone]) = replicas.leader_and_others().await;
    replicas.stop(away).await;
    let request = request_of(&replicas, 1);
    replicas.ask_to_wait(&request).await;
    let at = replicas.leader().await;
    replicas.operator(at).reject(&request).await.unwrap();
    // Another one comes in their place: it and the one that was away are a majority then.
    let newcomer = Newcomer::new(&replicas.nodes[0].config, 4);
    replicas.decide(&[GovernanceAction::AdmitMember(newcomer.member.clone())]).await;
    let node = start(newcomer.config.clone()).await.unwrap();
    replicas.nodes.push(Replica { config: newcomer.config.clone(), node: Some(node) });
    replicas.wait_for_voters(&[1, 2, 3, 4]).await;
    let id = MemberId(replicas.nodes[gone].config.member);
    replicas.decide(&[GovernanceAction::DismissMember { role: Role::CentralBank, id }]).await;
    replicas.dismissed(gone).await;
    replicas.wait_for_voters(&(1..=4).filter(|node| *node != u32::from(id.0)).collect::<Vec<_>>()).await;
    replicas.start_again(away).await;
    let last = replicas.settle(&opening_of(&replicas.network, 1, 8)).await;
    replicas.headers(last.height).await;
    // The one that kept it from the start leads to the end, and is lost: nobody collects from it.
    assert_eq!(replicas.leader().await, leader, "no other has led");
    for node in [away, 3, leader] {
        replicas.stop(node).await;
    }
    for node in [away, 3] {
        replicas.start_again(node).await;
    }
    replicas.check_rejected(request).await;
    replicas.end().await;
}

impl Replicas {
    fn connection(&self, node: usize, role: Role, id: u16) -> Connection {
        let config = &self.nodes[node].config;
        let identity = self.network.identity(role, MemberId(id)).unwrap();
        Connection::new(&config.listen.to_string(), Some(&identity), &trust(config)).unwrap()
    }

    /// A call as bank 1 to the node that leads, made again while leadership moves.
    async fn at_leader<R, F: Future<Output = Result<R, Status>>>(&self, call: impl Fn(Channel) -> F) -> R {
        loop {
            let leader = self.leader().await;
            match call(self.channel(leader, Role::Bank, 1)).await {
                Ok(answer) => return answer,
                Err(status) => assert!(leader_named_by(&status).is_some(), "{status:?}"),
            }
        }
    }

    /// Has the leader hand over to another node, which is returned.
    async fn change_leader_by_hand_over(&self) -> usize {
        let first = self.leader().await;
        let successor = self.running().into_iter().find(|node| *node != first).unwrap();
        self.hand_over_to(successor).await;
        successor
    }

    /// Has whichever node leads hand over to another one.
    async fn hand_over_to(&self, successor: usize) {
        let wanted = u32::from(self.nodes[successor].config.member);
        loop {
            let leader = self.leader().await;
            if leader == successor {
                return;
            }
            let mut operator = LeadershipClient::new(self.channel(leader, Role::Operator, 1));
            match operator.hand_over(v1::HandOverRequest { successor: Some(wanted) }).await {
                Ok(done) => assert_eq!(done.into_inner().leader, wanted),
                // On a busy machine leadership may have moved meanwhile, or the successor still lack something.
                Err(status) => assert!(leader_named_by(&status).is_some() || is_open(&status), "{status:?}"),
            }
        }
    }

    /// Waits until a node stops because it was dismissed; returns how often it had handed leadership over.
    async fn dismissed(&mut self, node: usize) -> u64 {
        let mut dismissed = self.nodes[node].node.take().unwrap();
        let why = tokio::time::timeout(TIMEOUT, dismissed.stopped()).await.expect("it stops").unwrap_err().to_string();
        assert!(why.contains("dismissed"), "{why}");
        let hand_overs = dismissed.hand_overs();
        dismissed.shutdown().await;
        hand_overs
    }

    /// Stops the leader, lets another take over, and starts it again.
    async fn change_leader(&mut self) {
        let leader = self.leader().await;
        self.stop(leader).await;
        self.leader().await;
        self.start_again(leader).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_majority_is_lost_one_node_goes_on_by_order_and_others_join_it() {
    let mut replicas = Replicas::three().await;
    let before = replicas.settle(&opening_of(&replicas.network, 1, 1)).await;
    check_same(&replicas, &before, 1).await;
    for node in replicas.running() {
        replicas.stop(node).await;
    }
    // By itself it does not go on, nor does it order alone because its configuration says so.
    let alone = Config { ordering: None, ..replicas.nodes[0].config.clone() };
    let refused = start(alone).await.err().expect("others vote by its log").to_string();
    assert!(refused.contains("order together"), "{refused}");
    let by_order = Config { go_on_alone: true, ..replicas.nodes[0].config.clone() };
    replicas.nodes[0].node = Some(start(by_order).await.unwrap());
    replicas.wait_for_voters(&[1]).await;
    let after = replicas.settle(&opening_of(&replicas.network, 1, 2)).await;
    assert_eq!(after.height, before.height + 1);
    // Another one has lost its disk, and joins with an empty one.
    let empty = replicas._folder.path().join("empty");
    let config = &mut replicas.nodes[1].config;
    config.data_dir = empty;
    config.ordering.as_mut().unwrap().join = true;
    prepare_data_folder(config, false).unwrap();
    replicas.start_again(1).await;
    replicas.wait_for_voters(&[1, 2]).await;
    check_same(&replicas, &before, 1).await;
    check_same(&replicas, &after, 1).await;
    replicas.end().await;
}

impl Replicas {
    /// Checks for a while that none of the running nodes leads.
    async fn check_nobody_leads(&self) {
        for _ in 0..40 {
            for node in self.running() {
                let known = self.leadership(node).await;
                let leads = known.is_ok_and(|known| known.leader == Some(known.member));
                assert!(!leads, "central-bank {} leads", self.nodes[node].config.member);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_has_lost_its_log_elects_nobody_and_is_not_let_in() {
    let mut replicas = Replicas::three().await;
    replicas.settle(&opening_of(&replicas.network, 1, 1)).await;
    let (leader, [wiped, away]) = replicas.leader_and_others().await;
    replicas.stop(away).await;
    // Only the leader and the one whose disk is lost have it.
    let settled = replicas.settle(&opening_of(&replicas.network, 1, 2)).await;
    replicas.stop(wiped).await;
    let empty = replicas._folder.path().join("empty");
    let config = &mut replicas.nodes[wiped].config;
    config.data_dir = empty;
    config.ordering.as_mut().unwrap().join = true;
    prepare_data_folder(config, false).unwrap();
    replicas.stop(leader).await;
    replicas.start_again(wiped).await;
    replicas.start_again(away).await;
    replicas.check_nobody_leads().await;
    // With the one that has it the others go on, without the vote of the wiped one.
    replicas.start_again(leader).await;
    let after = replicas.settle(&opening_of(&replicas.network, 1, 3)).await;
    check_same(&replicas, &settled, 1).await;
    check_same(&replicas, &after, 1).await;
    let leads = replicas.leader().await;
    let config = &replicas.nodes[wiped].config;
    let mut client = SealingClient::new(replicas.channel(leads, Role::CentralBank, config.member));
    let address = config.listen.to_string();
    let refused = client.join(JoinRequest { address, is_new: true }).await.unwrap_err();
    assert!(refused.message().contains("Dismiss it"), "{refused:?}");
    // Nor does it vote after another start, when its log is not empty any more.
    replicas.stop(wiped).await;
    replicas.start_again(wiped).await;
    replicas.headers(after.height).await;
    let third = replicas.running().into_iter().find(|node| *node != wiped && *node != leads).expect("three nodes run");
    replicas.stop(third).await;
    // It does not take leadership over either, although it has the whole log.
    replicas.stop(leads).await;
    replicas.start_again(third).await;
    replicas.check_nobody_leads().await;
    replicas.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_of_one_node_grows_and_shrinks() {
    let mut replicas = Replicas::start(NetworkSpec::default()).await;
    let before = replicas.settle(&opening_of(&replicas.network, 1, 1)).await;
    let address = replicas.nodes[0].config.listen.to_string();
    replicas.stop(0).await;
    // The node that was alone now has an address at which others reach it.
    let section = OrderingSection::of(vec![OrderingMember { member: 1, address }]);
    replicas.nodes[0].config.ordering = Some(section);
    replicas.start_again(0).await;
    let newcomer = Newcomer::new(&replicas.nodes[0].config, 2);
    replicas.decide(&[GovernanceAction::AdmitMember(newcomer.member.clone())]).await;
    let node = start(newcomer.config.clone()).await.unwrap();
    replicas.nodes.push(Replica { config: newcomer.config.clone(), node: Some(node) });
    replicas.wait_for_voters(&[1, 2]).await;
    let after = replicas.settle(&opening_of(&replicas.network, 1, 2)).await;
    check_same(&replicas, &before, 1).await;
    check_same(&replicas, &after, 1).await;
    // The newcomer can lead.
    replicas.change_leader_by_hand_over().await;
    let outcome = replicas.settle(&opening_of(&replicas.network, 1, 3)).await;
    check_same(&replicas, &outcome, 1).await;
    // Of two, the one that follows is dismissed: it lets its vote be taken before it stops.
    let leader = replicas.leader().await;
    let follower = 1 - leader;
    let gone = MemberId(replicas.nodes[follower].config.member);
    replicas.decide(&[GovernanceAction::DismissMember { role: Role::CentralBank, id: gone }]).await;
    replicas.wait_for_voters(&[u32::from(replicas.nodes[leader].config.member)]).await;
    replicas.dismissed(follower).await;
    replicas.settle(&opening_of(&replicas.network, 1, 4)).await;
    replicas.end().await;
}

/// A store whose log holds one block proposal.
async fn log_of(proposal: bytes::Bytes) -> Arc<dyn Store> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (ordering, mut committed) = Ordering::start(OrderingConfig::default(), store.clone(), None).await.unwrap();
    ordering.propose(proposal).await.unwrap();
    committed.recv().await.unwrap().unwrap();
    ordering.stop().await.unwrap();
    store
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_verifies_goes_no_further_than_a_command_that_nobody_signed() {
    let mut replicas = Replicas::start(NetworkSpec::default()).await;
    let settled = replicas.settle(&opening_of(&replicas.network, 1, 1)).await;
    let mut chain = ChainClient::new(replicas.channel(0, Role::Auditor, 1));
    let block = chain.get_block(v1::GetBlockRequest { height: settled.height }).await.unwrap().into_inner();
    replicas.stop(0).await;
    // The proposal ends with the signature of its only command.
    let mut forged = block.proposal.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let follows = async |proposal: bytes::Bytes, verifies| {
        let config = replicas.nodes[0].config.clone();
        let members = vec![OrderingMember { member: 1, address: config.listen.to_string() }];
        let section = OrderingSection { verify_on_followers: verifies, ..OrderingSection::of(members) };
        let environment = Environment { store: log_of(proposal).await, wall_clock: Box::new(crate::running::now) };
        let node =
            start_on(Config { ordering: Some(section), ..config }, environment).await.map_err(|it| it.to_string())?;
        let height = node.height();
        node.shutdown().await;
        Ok::<_, String>(height)
    };
    assert_eq!(follows(block.proposal.clone(), true).await, Ok(Height(1)));
    // Without it, whoever ordered the command is trusted.
    assert_eq!(follows(forged.clone().into(), false).await, Ok(Height(1)));
    let refused = follows(forged.into(), true).await.unwrap_err();
    let expected = "block 1 has a command that nobody signed, and the leader ordered it: command 0";
    assert!(refused.contains(expected) && refused.contains("BAD_SIGNATURE"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_that_verify_have_the_same_chain() {
    let spec = NetworkSpec { central_banks: 3, verify_on_followers: true, ..NetworkSpec::default() };
    let mut replicas = Replicas::start(spec).await;
    for number in 1..4 {
        let outcome = replicas.settle(&opening_of(&replicas.network, 1, number)).await;
        check_same(&replicas, &outcome, 1).await;
        replicas.change_leader().await;
    }
    replicas.end().await;
}

#[tokio::test]
async fn a_networks_log_begins_with_the_nodes_that_genesis_names() {
    let folder = tempfile::tempdir().unwrap();
    let spec = NetworkSpec { ports: Ports::Free, banks: 1, central_banks: 3, ..NetworkSpec::default() };
    let network = Network::create(&folder.path().join("net"), &spec).unwrap();
    let first = config(&network, network.central_bank());
    for wrong in [&[1][..], &[1, 3], &[1, 2, 3, 4]] {
        let members =
            wrong.iter().map(|member| OrderingMember { member: *member, address: format!("127.0.0.1:{member}") });
        let section = OrderingSection::of(members.collect());
        let refused = start(Config { ordering: Some(section), ..first.clone() }).await.err().expect("another list");
        assert!(refused.to_string().contains("{1, 2, 3}, at the first start"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_on_empty_folders_begin_nothing_where_there_is_a_network() {
    let mut replicas = Replicas::three().await;
    let before = replicas.settle(&opening_of(&replicas.network, 1, 1)).await;
    check_same(&replicas, &before, 1).await;
    // Two have lost their disks, so they would be a majority.
    let mut configs = Vec::new();
    for node in [0, 1] {
        replicas.stop(node).await;
        let data_dir = replicas._folder.path().join(format!("empty-{node}"));
        let config = Config { data_dir, ..replicas.nodes[node].config.clone() };
        prepare_data_folder(&config, false).unwrap();
        configs.push(config);
    }
    // However often they are started.
    for _ in 0..2 {
        let starts = configs.iter().map(|config| start(config.clone()));
        for started in futures::future::join_all(starts).await {
            let refused = started.err().expect("the third node has a block").to_string();
            assert!(refused.contains("join = true") && refused.contains("central-bank 3"), "{refused}");
        }
    }
    assert_eq!(replicas.nodes[2].node.as_ref().unwrap().height().0, before.height);
    // The disks are found again.
    for node in [0, 1] {
        replicas.start_again(node).await;
    }
    let after = replicas.settle(&opening_of(&replicas.network, 1, 2)).await;
    for outcome in [&before, &after] {
        check_same(&replicas, outcome, 1).await;
    }
    replicas.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_for_the_first_time_when_there_are_blocks_joins_if_it_is_told_to() {
    let spec = NetworkSpec { central_banks: 3, ..NetworkSpec::default() };
    let mut replicas = Replicas::start_first(spec, 2).await;
    let before = replicas.settle(&opening_of(&replicas.network, 1, 1)).await;
    check_same(&replicas, &before, 1).await;
    let refused = start(replicas.nodes[2].config.clone()).await.err().expect("there are blocks").to_string();
    assert!(refused.contains("join = true"), "{refused}");
    replicas.nodes[2].config.ordering.as_mut().unwrap().join = true;
    replicas.start_again(2).await;
    let after = replicas.settle(&opening_of(&replicas.network, 1, 2)).await;
    for outcome in [&before, &after] {
        check_same(&replicas, outcome, 1).await;
    }
    replicas.end().await;
}

/// Alters the ledger of a node that does not run: in the block of its newest checkpoint, one more wallet was opened
/// than the network knows of. Returns the height.
fn alter_ledger(network: &Network, config: &Config) -> u64 {
    let store: Arc<dyn Store> = Arc::new(RocksStore::open(&config.data_dir).unwrap());
    let manifest = CheckpointStore::new(store.clone()).latest().unwrap().unwrap();
    let archive = Archive::new(store.clone(), Arc::new(NoProposals));
    let proposal_at = |height| {
        let (_, log_index) = archive.header(Height(height)).unwrap().unwrap();
        cbdc_ordering::read_logged_proposal(store.as_ref(), log_index).unwrap().unwrap()
    };
    let mut ledger = Ledger::new(network.anchor().genesis().clone()).unwrap();
    for height in 1..manifest.height {
        ledger.apply(&VerifiedProposal::from_own_log(&proposal_at(height)).unwrap());
    }
    // Version, the wish for a checkpoint block, the number of commands, the time; then the commands.
    let genuine = proposal_at(manifest.height);
    let mut altered = genuine[..16].to_vec();
    altered[4..8].copy_from_slice(&1u32.to_le_bytes());
    altered.extend(opening_of(network, 2, 77).to_bytes());
    ledger.apply(&VerifiedProposal::from_own_log(&altered).unwrap());
    assert_eq!(ledger.height(), Height(manifest.height));
    remove_checkpoints(store.as_ref());
    let member = MemberId(config.member);
    let key = Arc::new(network.signing_key(Role::CentralBank, member).unwrap());
    let signer = CheckpointSigner { role: Role::CentralBank, member, key };
    recovery::write(&store, &ledger.snapshot(), manifest.position, &signer).unwrap();
    manifest.height
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_whose_ledger_was_altered_stops_names_the_height_and_is_none_of_those_who_sign() {
    let spec = NetworkSpec {
        central_banks: 3,
        header_signatures: 2,
        checkpoint_every_blocks: Some(1),
        ..NetworkSpec::default()
    };
    let mut replicas = Replicas::start(spec).await;
    let outcome = replicas.settle(&opening_of(&replicas.network, 1, 1)).await;
    // The block with the command, then the one of which each node writes a checkpoint.
    check_same_at(&replicas, outcome.height + 1, 2).await;
    let leader = replicas.leader().await;
    let follower = replicas.running().into_iter().find(|node| *node != leader).unwrap();
    replicas.checkpoint_written(follower, outcome.height + 1).await;
    replicas.stop(follower).await;
    let height = alter_ledger(&replicas.network, &replicas.nodes[follower].config);
    let mut altered = start(replicas.nodes[follower].config.clone()).await.unwrap();
    // The next block shows it.
    let outcome = replicas.settle(&opening_of(&replicas.network, 1, 2)).await;
    assert!(outcome.height > height);
    let why = tokio::time::timeout(TIMEOUT, altered.stopped()).await.expect("it stops").unwrap_err().to_string();
    let first = format!("block {} came out other than at central-bank {}", height + 1, leader + 1);
    assert!(why.contains(&first), "{why}");
    altered.shutdown().await;
    let member = replicas.nodes[follower].config.member;
    for header in replicas.headers(height + 1).await {
        let header = header_from_message(&header).unwrap();
        let signers: Vec<u16> = header.signatures.iter().map(|(member, _)| member.0).collect();
        assert!(signers.len() == 2 && !signers.contains(&member), "{signers:?}");
    }
    replicas.end().await;
}

impl Replicas {
    /// Waits until a node has written its checkpoint of a height.
    async fn checkpoint_written(&self, node: usize, height: u64) {
        let mut chain = ChainClient::new(self.channel(node, Role::Auditor, 1));
        let began = Instant::now();
        loop {
            if let Ok(parts) = chain.get_checkpoint(v1::GetCheckpointRequest {}).await {
                let first = parts.into_inner().message().await.unwrap().and_then(|part| part.part);
                if matches!(first, Some(v1::checkpoint_part::Part::Manifest(found)) if found.height >= height) {
                    return;
                }
            }
            assert!(began.elapsed() < TIMEOUT, "a checkpoint is written in time");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
