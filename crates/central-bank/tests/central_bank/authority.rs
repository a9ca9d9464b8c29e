//! The whole matrix of role × command, through gRPC on a real central bank; and connections that get nowhere.

use cbdc_devnet::{Network, NetworkSpec, Ports};
use cbdc_ledger::amount::RatePpm;
use cbdc_ledger::authority;
use cbdc_ledger::command::*;
use cbdc_ledger::member::{Member, Role};
use cbdc_ledger::time::LedgerDay;
use cbdc_ledger::{
    AccountId, Amount, BankId, Class, Command, HolderId, MemberId, PublicKey, Reason, Signature, Timestamp,
};
use cbdc_proto::status::refusal_of;
use cbdc_proto::transport::{ServerTrust, connect};
use cbdc_proto::v1::policy_client::PolicyClient;
use cbdc_proto::v1::settlement_client::SettlementClient;
use cbdc_proto::v1::{self, chain_client::ChainClient};
use tonic::Code;

use crate::running::{Running, now};

/// One command of each kind, of bank 1, signed by nobody: whether a role may submit it is asked before signatures are.
fn samples() -> Vec<Command> {
    let head = Head { flags: 0, key_version: 0, sequence: 1, valid_until: Timestamp(u64::MAX / 2) };
    let (bank, id, amount) = (BankId(1), MemberId(1), Amount::from_minor(100));
    let (account, payee) = (AccountId::new(bank, 1), AccountId::new(BankId(2), 1));
    let (class, holder, key) = (Class::HOUSEHOLD, HolderId([1; 16]), PublicKey([3; 32]));
    let (valid_until, agreement) = (Timestamp(u64::MAX), Signature([0; 64]));
    let certificate = Certificate { registrar: id, registrar_key_version: 0, valid_until, signature: agreement };
    let consent = BankConsent { bank_key_version: 0, valid_until, signature: agreement };
    let max_fee = Amount::ZERO;
    let payment = |kind, from, to| Payment { kind, head, from, to, amount, max_fee, reference: [0; 16] };
    let treasury = AccountId::treasury(bank);
    let expires_at = Timestamp(1);
    let hold = PlaceHold { head, from: account, to: payee, maximum: amount, max_fee, expires_at, reference: [0; 16] };
    let release = |kind, amount| ReleaseHold { kind, head, bank, hold: 1, amount };
    let mut topped_up = payment(PaymentKind::Transfer, account, payee);
    topped_up.head.flags = FLAG_REVERSE_WATERFALL;
    let request =
        |kind| IssuanceOrder { head, operator: id, request: unsigned(IssuanceRequest { kind, head, bank, amount }) };
    let freeze = |kind| FreezeOrder { kind, head, court: id, account, amount, order: [0; 16] };
    let actions = vec![GovernanceAction::Threshold(2)];
    let mut samples: Vec<Command> = vec![
        unsigned(payment(PaymentKind::Transfer, account, payee)).into(),
        unsigned(payment(PaymentKind::Defund, account, treasury)).into(),
        unsigned(payment(PaymentKind::Fund, treasury, account)).into(),
        unsigned(hold).into(),
        unsigned(release(ReleaseKind::Capture, amount)).into(),
        unsigned(release(ReleaseKind::Void, Amount::ZERO)).into(),
        unsigned(ReverseWaterfall { head, bank, maximum: amount, transfer: unsigned(topped_up) }).into(),
        unsigned(OpenWallet { head, bank, class, holder, key, certificate, agreement }).into(),
        unsigned(CloseWallet { head, account }).into(),
        unsigned(ReplaceKey { head, account, class, version: 0, key, certificate, agreement }).into(),
        unsigned(LinkBank { head, account, bank, consent: Some(consent) }).into(),
        unsigned(DesignateWallet { head, account }).into(),
        unsigned(MoveWallet { head, account, bank: BankId(3), consent }).into(),
        unsigned(Reclassify { head, registrar: id, class, holder }).into(),
        unsigned(request(IssuanceKind::Issue)).into(),
        unsigned(request(IssuanceKind::Redeem)).into(),
        unsigned(ReservesTransfer { head, from: bank, to: BankId(2), amount }).into(),
    ];
    samples.extend(OperationKind::ALL.map(|kind| {
        let (price_ppm, rate, matures) = (0, RatePpm(0), LedgerDay(0));
        Command::from(unsigned(Operation { kind, head, operator: id, bank, amount, price_ppm, rate, matures }))
    }));
    samples.extend([
        Command::from(unsigned(DepositStatement { head, bank, deposits: amount })),
        unsigned(freeze(FreezeKind::Freeze)).into(),
        unsigned(freeze(FreezeKind::Unfreeze)).into(),
        unsigned(SeizeOrder { head, court: id, account, amount, to: payee, released: Amount::ZERO, order: [0; 16] })
            .into(),
        unsigned(GovernanceProposal {
            head,
            member: id,
            effective_at: Timestamp(1),
            expires_at: Timestamp(2),
            actions,
        })
        .into(),
        unsigned(Ballot { head, member: id, choice: Choice::Approve, proposal: 1 }).into(),
    ]);
    samples
}

fn unsigned<R>(record: R) -> Signed<R> {
    Signed { record, signature: Signature([0; 64]) }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_submits_what_the_table_lets_it_and_nothing_else() {
    let running = Running::start().await;
    assert_eq!(samples().iter().map(Command::kind).collect::<Vec<_>>(), Kind::ALL);
    for role in Role::ALL {
        let channel = running.as_member(role, 1);
        for command in samples() {
            let bytes: bytes::Bytes = command.to_bytes().into();
            let settlement = SettlementClient::new(channel.clone())
                .submit_command(v1::SubmitCommandRequest { command: bytes.clone() })
                .await;
            let policy =
                PolicyClient::new(channel.clone()).submit(v1::SubmitPolicyCommandRequest { command: bytes }).await;
            let kind = command.kind();
            let refused = |answer: &Result<_, tonic::Status>| {
                let refusal = answer.as_ref().err().and_then(refusal_of);
                refusal.is_some_and(|refusal| refusal.reason == Reason::NotAuthorised)
            };
            let allowed = authority::may_submit(role, kind);
            assert_eq!(
                !refused(&settlement),
                allowed,
                "{role} submitting {} to settlement: {settlement:?}",
                kind.name()
            );
            // The policy service is not for banks.
            let allowed = allowed && role != Role::Bank;
            assert_eq!(!refused(&policy), allowed, "{role} submitting {} to policy: {policy:?}", kind.name());
        }
    }
    running.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_submits_nothing_for_another_bank() {
    let running = Running::start().await;
    let mut other = SettlementClient::new(running.as_member(Role::Bank, 2));
    for command in samples() {
        let request = v1::SubmitCommandRequest { command: command.to_bytes().into() };
        let status = other.submit_command(request).await.unwrap_err();
        assert_eq!(refusal_of(&status).unwrap().reason, Reason::NotAuthorised, "{}", command.kind().name());
    }
    running.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_calls_are_the_operators_alone() {
    let running = Running::start().await;
    for role in Role::ALL {
        let mut policy = PolicyClient::new(running.as_member(role, 1));
        let listed = policy.list_issuance_requests(v1::ListIssuanceRequestsRequest {}).await;
        let clock = policy.accept_clock(v1::AcceptClockRequest {}).await;
        assert_eq!(listed.is_ok(), role == Role::Operator, "{role}");
        assert_eq!(clock.is_ok(), role == Role::Operator, "{role}");
        let books = v1::GetBalanceSheetRequest { with_unposted_interest: true };
        assert!(policy.get_balance_sheet(books).await.is_ok(), "{role} may read the books");
        assert!(
            policy.get_aggregates(v1::GetAggregatesRequest {}).await.is_ok(),
            "{role} may read what money there is"
        );
        let versions = policy.list_policy_versions(v1::ListPolicyVersionsRequest::default()).await;
        assert!(versions.is_ok(), "{role} may read who decided what");
    }
    running.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_members_certificate_nobody_gets_anywhere() {
    let running = Running::start().await;
    let stranger_folder = tempfile::tempdir().unwrap();
    let spec = NetworkSpec { ports: Ports::Free, banks: 1, ..NetworkSpec::default() };
    let stranger = Network::create(&stranger_folder.path().join("other"), &spec).unwrap();
    let stranger = stranger.identity(Role::Bank, MemberId(1)).unwrap();
    for identity in [None, Some(&stranger)] {
        let channel = running.channel(identity);
        let status = ChainClient::new(channel.clone()).get_genesis(v1::GetGenesisRequest {}).await.unwrap_err();
        assert!(matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled), "{status:?}");
        let status = PolicyClient::new(channel).get_supply(v1::GetSupplyRequest {}).await.unwrap_err();
        assert!(matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled), "{status:?}");
    }
    // And a member does not speak with a node that has another key than membership names.
    let member = running.network.identity(Role::Auditor, MemberId(1)).unwrap();
    let impostor = ServerTrust::NodeKey(stranger.public_key());
    let channel = connect(&running.node.address().to_string(), Some(&member), &impostor).unwrap();
    assert!(ChainClient::new(channel).get_genesis(v1::GetGenesisRequest {}).await.is_err());
    running.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dismissed_member_is_shut_out_and_its_streams_close() {
    use tokio_stream::StreamExt;
    let running = Running::start().await;
    let mut chain = ChainClient::new(running.as_member(Role::Auditor, 1));
    let mut blocks = chain.follow(v1::FollowRequest { from_height: 1, testimony: None }).await.unwrap().into_inner();
    let dismiss = GovernanceAction::DismissMember { role: Role::Auditor, id: MemberId(1) };
    let joiner = Member {
        role: Role::Auditor,
        id: MemberId(9),
        name: "Second auditor".to_owned(),
        signing_key: cbdc_ledger::SigningKey::from_seed([9; 32]).public_key(),
        node_key: None,
    };
    let proposer = running.network.governance(Role::Committee, MemberId(1)).unwrap();
    let actions = vec![dismiss, GovernanceAction::AdmitMember(joiner)];
    let proposed = proposer.propose(actions, now(), now().plus_ms(60_000)).await.unwrap();
    let (_, number) = proposed.result().unwrap();
    let seconder = running.network.governance(Role::Committee, MemberId(2)).unwrap();
    seconder.vote(number, Choice::Approve).await.unwrap().settled().unwrap();

    let closed = async { while let Some(Ok(_)) = blocks.next().await {} };
    tokio::time::timeout(std::time::Duration::from_secs(10), closed).await.expect("the stream closes");
    let status = chain.get_genesis(v1::GetGenesisRequest {}).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "on the connection it had: {status:?}");
    let mut anew = ChainClient::new(running.as_member(Role::Auditor, 1));
    assert!(anew.get_genesis(v1::GetGenesisRequest {}).await.is_err(), "on a new connection");
    running.node.shutdown().await;
}
