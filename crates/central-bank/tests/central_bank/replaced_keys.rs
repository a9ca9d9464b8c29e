//! Keys of the central bank that the committee replaced: the node starts again from any height, with and without a
//! checkpoint, after any sequence of membership changes, and only with the keys in force where its log ends.

use std::time::Duration;

use cbdc_central_bank::{Config, Node, StartError, start};
use cbdc_client::{NodeName, Role, SigningKey, read_signing_key};
use cbdc_devnet::Network;
use cbdc_ledger::bank_position::BankStatus;
use cbdc_ledger::command::GovernanceAction;
use cbdc_ledger::{BankId, MemberId, SignedHeader};
use cbdc_proto::convert::header_from_message;
use cbdc_proto::transport::NodeIdentity;
use cbdc_proto::v1;
use cbdc_proto::v1::chain_client::ChainClient;

use crate::running::{Running, config, network, now};

/// The files of keys that the central bank's node has in turn: those of genesis first, then those of other networks.
struct Keys {
    configs: Vec<Config>,
    _folders: Vec<tempfile::TempDir>,
}

impl Keys {
    fn of(first: &Config) -> Keys {
        let (mut configs, mut folders) = (vec![first.clone()], Vec::new());
        for _ in 0..2 {
            let (other, folder) = network();
            let Config { certificate, private_key, signing_key, .. } = config(&other);
            configs.push(Config { certificate, private_key, signing_key, ..first.clone() });
            folders.push(folder);
        }
        Keys { configs, _folders: folders }
    }

    fn signing_key(&self, at: usize) -> SigningKey {
        read_signing_key(&self.configs[at].signing_key).unwrap()
    }

    fn replacement(&self, at: usize) -> GovernanceAction {
        let Config { certificate, private_key, .. } = &self.configs[at];
        GovernanceAction::ReplaceKeys {
            role: Role::CentralBank,
            id: MemberId(1),
            signing_key: self.signing_key(at).public_key(),
            node_key: Some(NodeIdentity::load(certificate, private_key).unwrap().public_key()),
        }
    }
}

/// A connection that shows a member's certificate to the node with the keys of a configuration.
fn channel(network: &Network, node: &Node, keys: &Config, (role, id): (Role, u16)) -> cbdc_client::Connection {
    let identity = network.identity(role, MemberId(id)).unwrap();
    let expected = NodeIdentity::load(&keys.certificate, &keys.private_key).unwrap().public_key();
    let trust = cbdc_client::ServerTrust::NodeKey(expected);
    cbdc_client::Connection::new(&node.address().to_string(), Some(&identity), &trust).unwrap()
}

async fn decide(network: &Network, node: &Node, keys: &Config, actions: Vec<GovernanceAction>) {
    let member = |id| {
        let connection = channel(network, node, keys, (Role::Committee, id));
        let key = network.signing_key(Role::Committee, MemberId(id)).unwrap();
        let signer = cbdc_client::MemberSigner::new(Role::Committee, MemberId(id), key);
        cbdc_client::GovernanceClient::new(connection, network.anchor().clone()).with_signer(signer)
    };
    let proposed = member(1).propose(actions, now(), now().plus_ms(60_000)).await.unwrap();
    let (_, number) = proposed.result().unwrap();
    // A block may enact it before the vote is answered, and end the node.
    drop(member(2).vote(number, cbdc_client::Choice::Approve).await);
}

async fn stopped(mut node: Node) -> String {
    let ended = tokio::time::timeout(Duration::from_secs(20), node.stopped()).await.expect("it stops");
    node.shutdown().await;
    ended.unwrap_err().to_string()
}

async fn headers(network: &Network, node: &Node, keys: &Config) -> Vec<SignedHeader> {
    let mut chain = ChainClient::new(channel(network, node, keys, (Role::Auditor, 1)).channel());
    let newest = chain.get_header(v1::GetHeaderRequest { height: None }).await.unwrap().into_inner();
    let newest = header_from_message(&newest).unwrap().header.height.0;
    let mut found = Vec::new();
    for height in 1..=newest {
        let header = chain.get_header(v1::GetHeaderRequest { height: Some(height) }).await.unwrap().into_inner();
        found.push(header_from_message(&header).unwrap());
    }
    found
}

/// Starts with these keys, settles something, and starts once more.
async fn starts(network: &Network, keys: &Config, suspended: BankStatus) -> Vec<SignedHeader> {
    let node = start(keys.clone()).await.unwrap();
    let action = GovernanceAction::BankStatus { bank: BankId(2), status: suspended };
    decide(network, &node, keys, vec![action]).await;
    node.shutdown().await;
    let node = start(keys.clone()).await.unwrap();
    let found = headers(network, &node, keys).await;
    node.shutdown().await;
    found
}

async fn refused(config: &Config, in_force: &SigningKey) {
    let error = start(config.clone()).await.err().expect("these keys are not in force");
    assert!(matches!(error, StartError::OtherKey { what: "signing key", .. }), "{error}");
    assert!(error.to_string().contains(&in_force.public_key().to_string()), "the key is named: {error}");
}

async fn it_starts_again(checkpoint_every_blocks: u64) {
    let Running { network, node, _folder } =
        Running::start_with(|config| config.checkpoint_every_blocks = checkpoint_every_blocks).await;
    let first = Config { checkpoint_every_blocks, listen: node.address(), ..config(&network) };
    let keys = Keys::of(&first);
    node.shutdown().await;
    let mut signed = starts(&network, &first, BankStatus::Suspended).await;
    for (before, after) in [(0, 1), (1, 2)] {
        let node = start(keys.configs[before].clone()).await.unwrap();
        decide(&network, &node, &keys.configs[before], vec![keys.replacement(after)]).await;
        let why = stopped(node).await;
        assert!(why.contains("replaced the key") && why.contains(&keys.signing_key(after).public_key().to_string()));
        // No former key starts the node, and the folder is unchanged.
        for former in 0..after {
            refused(&keys.configs[former], &keys.signing_key(after)).await;
        }
        let status = if after == 1 { BankStatus::Active } else { BankStatus::Suspended };
        let found = starts(&network, &keys.configs[after], status).await;
        assert_eq!(found[..signed.len()], signed, "what was signed stays");
        let changed = found.iter().position(|header| header.header.height.0 > signed.len() as u64).unwrap();
        let is_signed_by = |header: &SignedHeader, at: usize| {
            let key = keys.signing_key(at).public_key();
            header.check(network.anchor().network(), 1, |_| Some(key)).is_ok()
        };
        assert!(is_signed_by(&found[changed], before) && is_signed_by(found.last().unwrap(), after));
        signed = found;
    }
    let name = NodeName::CentralBank(MemberId(1));
    let data = cbdc_storage::RocksStore::open(network.data_dir(name).unwrap()).unwrap();
    let checkpoints = cbdc_storage::CheckpointStore::new(std::sync::Arc::new(data)).heights().unwrap();
    assert_eq!(checkpoints.is_empty(), checkpoint_every_blocks > 1_000, "{checkpoints:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_keys_were_replaced_starts_again_without_a_checkpoint() {
    it_starts_again(5_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_keys_were_replaced_starts_again_from_a_checkpoint() {
    it_starts_again(1).await;
}
