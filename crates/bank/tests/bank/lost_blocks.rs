//! A central bank that has lost blocks: the banks prove it, it seals none, and it recovers the blocks from a bank.

use std::time::Duration;

use cbdc_client::NodeName;
use cbdc_devnet::{Network, NetworkSpec, Ports};
use cbdc_ledger::command::{Choice, GovernanceAction, Head, Payment, PaymentKind, Record};
use cbdc_ledger::member::Role;
use cbdc_ledger::{AccountId, Amount, BankId, Class, Command, HolderId, MemberId, Reason, SigningKey, Timestamp};
use cbdc_proto::convert::payment_to_message;
use cbdc_proto::status::refusal_of;
use cbdc_proto::transport::connect;
use cbdc_proto::v1;
use cbdc_proto::v1::bank_client::BankClient;
use cbdc_proto::v1::chain_client::ChainClient;
use cbdc_proto::v1::policy_client::PolicyClient;
use cbdc_proto::v1::settlement_client::SettlementClient;
use cbdc_proto::wall_clock::wall_clock;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::running::{bank_config, central_bank_config, copy_folder, until};

/// A network of two banks, of which the second keeps a partial replica.
fn network() -> (Network, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let spec = NetworkSpec { ports: Ports::Free, banks: 2, full_replicas: 1, ..NetworkSpec::default() };
    (Network::create(&folder.path().join("net"), &spec).unwrap(), folder)
}

struct Nodes {
    central_bank: cbdc_central_bank::Node,
    banks: Vec<cbdc_bank::Node>,
}

impl Nodes {
    async fn start(network: &Network) -> Nodes {
        let central_bank = cbdc_central_bank::start(central_bank_config(network)).await.unwrap();
        let mut banks = Vec::new();
        for bank in [1, 2] {
            banks.push(cbdc_bank::start(bank_config(network, bank)).await.unwrap());
        }
        Nodes { central_bank, banks }
    }

    async fn stop(self) {
        for bank in self.banks {
            bank.shutdown().await;
        }
        self.central_bank.shutdown().await;
    }
}

fn channel(network: &Network, as_bank: u16) -> Channel {
    let central_bank = network.central_bank();
    let trust = network.anchor().trust(central_bank.role(), central_bank.id()).unwrap();
    let identity = network.identity(Role::Bank, MemberId(as_bank)).unwrap();
    connect(network.address(central_bank).unwrap(), Some(&identity), &trust).unwrap()
}

/// Has bank 1 open its `number`th wallet, in one more block.
async fn open_wallet(network: &Network, number: u8) -> Result<v1::Outcome, Status> {
    let (key, bank) = (SigningKey::from_seed([number; 32]), MemberId(1));
    let registrar = network.first_registrar().unwrap();
    let registration = registrar.register(BankId(1), HolderId([number; 16]), Class::HOUSEHOLD, key.public_key());
    let valid_until = Timestamp(wall_clock().0 + 60_000);
    let head = Head { flags: 0, key_version: 0, sequence: number.into(), valid_until };
    let record = registration.opening(head, &key).unwrap();
    let bank_key = network.signing_key(Role::Bank, bank).unwrap();
    let command: Command = record.sign(network.anchor().network(), &bank_key).into();
    let request = v1::SubmitCommandRequest { command: command.to_bytes().into() };
    let mut settlement = SettlementClient::new(channel(network, 1));
    let asked = tokio::time::timeout(Duration::from_secs(10), settlement.submit_command(request));
    Ok(asked.await.expect("an answer comes in time")?.into_inner())
}

async fn newest(network: &Network) -> v1::SignedHeader {
    let mut chain = ChainClient::new(channel(network, 1));
    chain.get_header(v1::GetHeaderRequest { height: None }).await.unwrap().into_inner()
}

async fn health(network: &Network) -> tonic_health::pb::health_check_response::ServingStatus {
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel(network, 1));
    let request = tonic_health::pb::HealthCheckRequest { service: String::new() };
    health.check(request).await.unwrap().into_inner().status()
}

/// What an audit of the central bank's folder finds.
fn audit(network: &Network) -> Vec<String> {
    let data = central_bank_config(network).data_dir;
    let genesis = network.anchor().genesis().clone();
    cbdc_node::audit::audit_data_folder(&data, genesis, Vec::new(), |_, _| {}).unwrap().findings
}

#[tokio::test(flavor = "multi_thread")]
async fn a_central_bank_restored_from_an_older_copy_seals_nothing_until_it_has_the_lost_blocks_from_a_bank() {
    use tonic_health::pb::health_check_response::ServingStatus;
    let (network, folder) = network();
    let data = central_bank_config(&network).data_dir;
    let older = folder.path().join("older");

    let nodes = Nodes::start(&network).await;
    for number in 1..=3 {
        assert!(open_wallet(&network, number).await.unwrap().settled);
    }
    nodes.stop().await;
    copy_folder(&data, &older);
    let nodes = Nodes::start(&network).await;
    for number in 4..=8 {
        assert!(open_wallet(&network, number).await.unwrap().settled);
    }
    let expected = newest(&network).await;
    until("both banks follow", || nodes.banks.iter().all(|bank| bank.height().0 == 8)).await;
    nodes.stop().await;
    std::fs::remove_dir_all(&data).unwrap();
    copy_folder(&older, &data);

    // Each bank shows what is missing, whichever kind of replica it keeps.
    for witness in [1, 2] {
        let central_bank = cbdc_central_bank::start(central_bank_config(&network)).await.unwrap();
        let bank = cbdc_bank::start(bank_config(&network, witness)).await.unwrap();
        let mut status = ServingStatus::Serving;
        for _ in 0..200 {
            status = health(&network).await;
            if status == ServingStatus::NotServing {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        assert_eq!(status, ServingStatus::NotServing, "bank {witness} has shown what was lost");
        let refused = open_wallet(&network, 9).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");
        assert_eq!(central_bank.height().0, 3, "nothing is sealed");
        bank.shutdown().await;
        central_bank.shutdown().await;
    }
    // It is not forgotten where no bank is there to show it again.
    let config = cbdc_central_bank::Config { wait_for_banks_ms: 0, ..central_bank_config(&network) };
    let central_bank = cbdc_central_bank::start(config).await.unwrap();
    assert_eq!(open_wallet(&network, 9).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(central_bank.height().0, 3, "nothing is sealed");
    central_bank.shutdown().await;
    let findings = audit(&network);
    assert!(findings.iter().any(|finding| finding.starts_with("block 8")), "{findings:?}");

    // Bank 1 keeps whole blocks; bank 2 is away meanwhile.
    let bank = cbdc_bank::start(bank_config(&network, 1)).await.unwrap();
    let mut config = central_bank_config(&network);
    config.recover_from = Some(network.address(NodeName::Bank(BankId(1))).unwrap().to_string());
    let central_bank = cbdc_central_bank::start(config).await.unwrap();
    assert_eq!(newest(&network).await, expected, "the chain is the one that was settled");
    assert_eq!(health(&network).await, ServingStatus::Serving);
    let second = cbdc_bank::start(bank_config(&network, 2)).await.unwrap();
    assert!(open_wallet(&network, 9).await.unwrap().settled);
    until("both banks follow", || [&bank, &second].iter().all(|bank| bank.height().0 == 9)).await;
    Nodes { central_bank, banks: vec![bank, second] }.stop().await;
    assert_eq!(audit(&network), [""; 0], "what was lost is there again");
}

/// What every service of the central bank answers an active bank, to all calls but those for genesis and headers.
async fn answers(network: &Network) -> Vec<(&'static str, Result<(), Status>)> {
    let channel = channel(network, 1);
    let (mut settlement, mut chain) = (SettlementClient::new(channel.clone()), ChainClient::new(channel.clone()));
    let mut policy = PolicyClient::new(channel);
    let account = AccountId::new(BankId(1), 1).to_string();
    let wallet = Some(v1::get_wallet_request::Wallet::Account(account.clone()));
    let holds = v1::ListHoldsRequest { account: account.clone(), ..Default::default() };
    let quote = v1::QuoteTransferRequest { from: account.clone(), to: account, amount_minor: 1, max_fee_minor: None };
    vec![
        ("SubmitCommand", open_wallet(network, 9).await.map(drop)),
        ("Submit", settlement.submit(tokio_stream::pending()).await.map(drop)),
        ("GetWallet", settlement.get_wallet(v1::GetWalletRequest { wallet }).await.map(drop)),
        ("QuoteTransfer", settlement.quote_transfer(quote).await.map(drop)),
        ("ListHolds", settlement.list_holds(holds).await.map(drop)),
        ("RequestIssuance", settlement.request_issuance(v1::RequestIssuanceRequest::default()).await.map(drop)),
        ("GetSupply", policy.get_supply(v1::GetSupplyRequest {}).await.map(drop)),
        ("ListMembers", policy.list_members(v1::ListMembersRequest {}).await.map(drop)),
        ("GetBlock", chain.get_block(v1::GetBlockRequest { height: 1 }).await.map(drop)),
        ("Follow", chain.follow(v1::FollowRequest::default()).await.map(drop)),
        ("GetCheckpoint", chain.get_checkpoint(v1::GetCheckpointRequest {}).await.map(drop)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_central_bank_without_the_banks_blocks_answers_all_but_headers_with_that_and_banks_serve_as_if_it_were_away()
{
    let (network, folder) = network();
    let data = central_bank_config(&network).data_dir;
    let older = folder.path().join("older");
    let nodes = Nodes::start(&network).await;
    assert!(open_wallet(&network, 1).await.unwrap().settled);
    nodes.stop().await;
    copy_folder(&data, &older);
    let nodes = Nodes::start(&network).await;
    assert!(open_wallet(&network, 2).await.unwrap().settled);
    until("both banks follow", || nodes.banks.iter().all(|bank| bank.height().0 == 2)).await;
    nodes.stop().await;

    for is_empty in [false, true] {
        std::fs::remove_dir_all(&data).unwrap();
        match is_empty {
            true => cbdc_central_bank::prepare_data_folder(&central_bank_config(&network), false).unwrap(),
            false => copy_folder(&older, &data),
        }
        let central_bank = cbdc_central_bank::start(central_bank_config(&network)).await.unwrap();
        let bank = cbdc_bank::start(bank_config(&network, 1)).await.unwrap();
        let has_lost = async || {
            let asked = PolicyClient::new(channel(&network, 1)).get_supply(v1::GetSupplyRequest {}).await;
            asked.is_err_and(|status| refusal_of(&status).unwrap().reason == Reason::LostBlocks)
        };
        while !has_lost().await {
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        for (call, answer) in answers(&network).await {
            let refused = answer.expect_err(call);
            assert_eq!(refused.code(), Code::Unavailable, "{call}: {refused}");
            assert_eq!(refusal_of(&refused).unwrap().reason, Reason::LostBlocks, "{call}: {refused}");
            assert!(refused.message().contains("has lost blocks"), "{call}: {refused}");
            let refusal = refusal_of(&refused).unwrap();
            assert_eq!((refusal.limit, refusal.amount), (2, central_bank.height().0), "{call}: {refused}");
        }
        // Its headers are there to be compared.
        let head = ChainClient::new(channel(&network, 1)).get_header(v1::GetHeaderRequest { height: None }).await;
        match is_empty {
            true => assert_eq!(head.unwrap_err().code(), Code::NotFound),
            false => assert!(!head.unwrap().into_inner().header.is_empty()),
        }

        // A payment is decided as while the central bank is away, and nothing is said of it that is not so.
        let trust = network.anchor().trust(Role::Bank, MemberId(1)).unwrap();
        let address = network.address(NodeName::Bank(BankId(1))).unwrap();
        let mut client = BankClient::new(connect(address, None, &trust).unwrap());
        let state = async |client: &mut BankClient<Channel>| {
            client.get_status(v1::GetStatusRequest {}).await.unwrap().into_inner().central_bank_state
        };
        while state(&mut client).await != "UNREACHABLE" {
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        // The first bank stops with a payment in doubt, so the second asks for another wallet.
        let number = 1 + u8::from(is_empty);
        let from = AccountId::new(BankId(1), number.into());
        let head = Head { flags: 0, key_version: 0, sequence: 1, valid_until: Timestamp(wall_clock().0 + 60_000) };
        let (kind, amount, max_fee) = (PaymentKind::Transfer, Amount::from_minor(1), Amount::ZERO);
        let payment = Payment {
            kind,
            head,
            from,
            to: AccountId::new(BankId(1), (3 - number).into()),
            amount,
            max_fee,
            reference: [0; 16],
        };
        let signed = payment.sign(network.anchor().network(), &SigningKey::from_seed([number; 32]));
        for (accept_when_unreachable, reason) in [(true, Reason::NotAccepted), (false, Reason::Unavailable)] {
            let payment = Some(payment_to_message(&signed));
            let request = v1::SubmitTransferRequest { payment, accept_when_unreachable };
            let refused = client.submit_transfer(request).await.unwrap_err();
            assert_eq!(refusal_of(&refused).unwrap().reason, reason, "{refused}");
            let lacks = format!("its newest block is {}, and a bank has block 2", central_bank.height());
            assert_eq!(refused.message().contains(&lacks), !accept_when_unreachable, "{refused}");
        }
        bank.shutdown().await;
        central_bank.shutdown().await;
    }
}

/// Waits until the central bank says why it serves nothing, as a bank has shown it.
async fn hindrance(network: &Network, bank: u16) -> String {
    for _ in 0..400 {
        let asked = PolicyClient::new(channel(network, 1)).get_supply(v1::GetSupplyRequest {}).await;
        match asked {
            Err(status) if status.message().contains(&format!("bank {bank}")) => return status.message().to_owned(),
            _ => tokio::time::sleep(Duration::from_millis(25)).await,
        }
    }
    panic!("bank {bank} has not shown what was lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_blocks_in_the_place_of_lost_ones_are_called_so_at_once() {
    let (network, folder) = network();
    let (data, older) = (central_bank_config(&network).data_dir, folder.path().join("older"));
    let nodes = Nodes::start(&network).await;
    assert!(open_wallet(&network, 1).await.unwrap().settled);
    nodes.stop().await;
    copy_folder(&data, &older);
    let nodes = Nodes::start(&network).await;
    for number in 2..=5 {
        assert!(open_wallet(&network, number).await.unwrap().settled);
    }
    until("the banks follow", || nodes.banks.iter().all(|bank| bank.height().0 == 5)).await;
    nodes.stop().await;
    std::fs::remove_dir_all(&data).unwrap();
    copy_folder(&older, &data);
    // Nobody is there to show what was lost, and others are sealed.
    let config = cbdc_central_bank::Config { wait_for_banks_ms: 0, ..central_bank_config(&network) };
    let central_bank = cbdc_central_bank::start(config).await.unwrap();
    for number in 7..=8 {
        assert!(open_wallet(&network, number).await.unwrap().settled);
    }
    assert_eq!(central_bank.height().0, 3);
    let bank = cbdc_bank::start(bank_config(&network, 1)).await.unwrap();
    let said = hindrance(&network, 1).await;
    assert!(said.contains("two blocks 3 were signed") && !said.contains("lost"), "{said}");
    bank.shutdown().await;
    central_bank.shutdown().await;
    assert!(audit(&network).iter().any(|finding| finding.starts_with("block 3")));
}

#[tokio::test(flavor = "multi_thread")]
async fn banks_are_believed_by_a_central_bank_restored_to_before_its_signing_key_was_replaced() {
    let (network, folder) = network();
    let first = central_bank_config(&network);
    let (other, _other_folder) = self::network();
    let new_key = central_bank_config(&other).signing_key;
    let older = folder.path().join("older");
    let nodes = Nodes::start(&network).await;
    assert!(open_wallet(&network, 1).await.unwrap().settled);
    nodes.stop().await;
    copy_folder(&first.data_dir, &older);

    // The committee replaces the key that signs headers; the certificate stays.
    let mut nodes = Nodes::start(&network).await;
    let node_key = network.identity(Role::CentralBank, MemberId(1)).unwrap().public_key();
    let signing_key = cbdc_client::read_signing_key(&new_key).unwrap().public_key();
    let (role, id) = (Role::CentralBank, MemberId(1));
    let action = GovernanceAction::ReplaceKeys { role, id, signing_key, node_key: Some(node_key) };
    let now = Timestamp(wall_clock().0);
    let seat = |id| network.governance(Role::Committee, MemberId(id)).unwrap();
    let (_, number) = seat(1).propose(vec![action], now, now.plus_ms(60_000)).await.unwrap().result().unwrap();
    drop(seat(2).vote(number, Choice::Approve).await);
    let stopped = tokio::time::timeout(Duration::from_secs(20), nodes.central_bank.stopped()).await.expect("it stops");
    assert!(stopped.unwrap_err().to_string().contains("replaced the key"));
    nodes.central_bank.shutdown().await;
    let second = cbdc_central_bank::Config { signing_key: new_key, ..first.clone() };
    nodes.central_bank = cbdc_central_bank::start(second.clone()).await.unwrap();
    for number in 2..=3 {
        assert!(open_wallet(&network, number).await.unwrap().settled);
    }
    let expected = newest(&network).await;
    let height = nodes.central_bank.height();
    until("the banks follow", || nodes.banks.iter().all(|bank| bank.height() == height)).await;
    nodes.stop().await;
    std::fs::remove_dir_all(&first.data_dir).unwrap();
    copy_folder(&older, &first.data_dir);

    // Evidence of before is recalled; a bank that keeps whole blocks says more than one that does not.
    for witness in [2, 1] {
        let central_bank = cbdc_central_bank::start(first.clone()).await.unwrap();
        let bank = cbdc_bank::start(bank_config(&network, witness)).await.unwrap();
        let said = hindrance(&network, witness).await;
        // The second bank, too, can compare its chain with the one here.
        assert!(said.contains(&format!("lost blocks 2 to {height}")), "{said}");
        let holder = "the address of bank 1, which keeps whole blocks";
        assert_eq!(said.contains(holder), witness == 1, "{said}");
        assert_eq!(open_wallet(&network, 9).await.unwrap_err().code(), Code::Unavailable);
        assert_eq!(central_bank.height().0, 1, "nothing is sealed");
        bank.shutdown().await;
        central_bank.shutdown().await;
    }
    // With the new key, which signs again only above the blocks that the former one has signed.
    let bank = cbdc_bank::start(bank_config(&network, 1)).await.unwrap();
    let recover_from = Some(network.address(NodeName::Bank(BankId(1))).unwrap().to_string());
    let central_bank = cbdc_central_bank::start(cbdc_central_bank::Config { recover_from, ..second }).await.unwrap();
    assert_eq!(newest(&network).await, expected, "the chain is the one that was settled");
    assert!(open_wallet(&network, 4).await.unwrap().settled);
    until("the bank follows", || bank.height() > height).await;
    bank.shutdown().await;
    central_bank.shutdown().await;
    assert_eq!(audit(&network), [""; 0]);
}
