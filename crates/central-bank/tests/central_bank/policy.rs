//! What members read about policy and money, on a real central bank whose banks are played by the test.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cbdc_client::{GovernanceClient, v1};
use cbdc_devnet::{Network, NetworkSpec, Ports};
use cbdc_ledger::command::{Choice, GovernanceAction, Head, Record};
use cbdc_ledger::member::Role;
use cbdc_ledger::policy::{Parameters, PolicyChange};
use cbdc_ledger::programme::{Classes, Cohort, Funding, Grant, Purpose};
use cbdc_ledger::{Amount, BankId, Class, Command, Height, HolderId, MemberId, SigningKey, Timestamp};
use cbdc_proto::transport::connect;
use cbdc_proto::v1::settlement_client::SettlementClient;

fn now() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64)
}

struct Running {
    network: Network,
    node: cbdc_central_bank::Node,
    governance: GovernanceClient,
    _folder: tempfile::TempDir,
}

impl Running {
    /// A central bank with this policy, an issuance of nothing, and two wallets at each of two banks.
    async fn start(policy: Parameters) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let spec = NetworkSpec { ports: Ports::Free, banks: 2, policy, ..NetworkSpec::default() };
        let network = Network::create(&folder.path().join("net"), &spec).unwrap();
        let config = cbdc_central_bank::Config::load(&network.config_path(network.central_bank())).unwrap();
        let node = cbdc_central_bank::start(config).await.unwrap();
        let governance = network.governance_reader().await.unwrap();
        let running = Running { network, node, governance, _folder: folder };
        for bank in [1, 2] {
            for number in [1, 2] {
                running.open_wallet(bank, number).await;
            }
        }
        running
    }

    async fn open_wallet(&self, bank: u16, number: u8) {
        let seed = [bank as u8 * 16 + number; 32];
        let (holder, key) = (HolderId([seed[0]; 16]), SigningKey::from_seed(seed));
        let registrar = self.network.first_registrar().unwrap();
        let registration = registrar.register(BankId(bank), holder, Class::HOUSEHOLD, key.public_key());
        let head = Head { flags: 0, key_version: 0, sequence: number.into(), valid_until: now().plus_ms(60_000) };
        let record = registration.opening(head, &key).unwrap();
        let bank_key = self.network.signing_key(Role::Bank, MemberId(bank)).unwrap();
        let command = Command::from(record.sign(self.network.anchor().network(), &bank_key));
        let central = self.network.central_bank();
        let trust = self.network.anchor().trust(central.role(), central.id()).unwrap();
        let identity = self.network.identity(Role::Bank, MemberId(bank)).unwrap();
        let channel = connect(&self.node.address().to_string(), Some(&identity), &trust).unwrap();
        let request = v1::SubmitCommandRequest { command: command.to_bytes().into() };
        let outcome = SettlementClient::new(channel).submit_command(request).await.unwrap().into_inner();
        assert!(outcome.settled, "{outcome:?}");
    }

    /// Committee members 1 and 2 approve a proposal, 3 votes against it first; waits until it is enacted.
    async fn decide(&self, actions: Vec<GovernanceAction>) -> u64 {
        let member = |id| self.network.governance(Role::Committee, MemberId(id)).unwrap();
        let proposed = member(1).propose(actions, now(), now().plus_ms(60_000)).await.unwrap();
        let (_, number) = proposed.result().unwrap();
        member(3).vote(number, Choice::Reject).await.unwrap().settled().unwrap();
        member(2).vote(number, Choice::Approve).await.unwrap().settled().unwrap();
        self.wait_for(async || {
            let proposals = self.governance.proposals(100, None).await.unwrap().proposals;
            proposals.iter().any(|proposal| proposal.number == number && proposal.status == "enacted")
        })
        .await;
        number
    }

    async fn wait_for(&self, is_so: impl AsyncFn() -> bool) {
        let waiting = async {
            while !is_so().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it comes about within ten seconds");
    }
}

fn cap(major: u64) -> GovernanceAction {
    GovernanceAction::Policy(PolicyChange::SupplyCap(Some(Amount::from_minor(major * 100))))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_version_leads_to_its_proposal_and_each_height_to_its_version() {
    let policy = Parameters { supply_cap: Some(Amount::from_minor(100)), ..Parameters::default() };
    let running = Running::start(policy).await;
    let governance = &running.governance;
    let before = governance.policy(None).await.unwrap();
    let first = running.decide(vec![cap(2)]).await;
    running.decide(vec![GovernanceAction::Threshold(2)]).await;
    let third = running.decide(vec![cap(3), GovernanceAction::Threshold(2)]).await;

    let mut versions = Vec::new();
    let mut token = None;
    loop {
        let page = governance.policy_versions(2, token).await.unwrap();
        versions.extend(page.versions);
        if page.next_page_token.is_empty() {
            break;
        }
        token = Some(page.next_page_token);
    }
    let numbers: Vec<_> = versions.iter().map(|version| version.proposal.as_ref().map(|one| one.number)).collect();
    assert_eq!(numbers, [Some(third), Some(first), None], "the second proposal changed no parameter");
    for version in &versions {
        let change = &version.changes[0];
        let expected = match version.version {
            1 => ("none", "1.00"),
            2 => ("1.00", "2.00"),
            _ => ("2.00", "3.00"),
        };
        assert_eq!((version.changes.len(), change.name.as_str()), (1, "supply-cap"), "{version:?}");
        assert_eq!((change.before.as_str(), change.after.as_str()), expected);
        if let Some(proposal) = &version.proposal {
            assert_eq!(proposal.closed_at_ms, version.in_force_since_ms);
            let votes: Vec<_> = proposal.votes.iter().map(|vote| (vote.member, vote.approve)).collect();
            assert_eq!(votes, [(1, true), (2, true), (3, false)]);
        }
    }

    assert_eq!(governance.policy_at(Height(0)).await.unwrap().version, 1);
    let then = governance.policy_at(Height(before.height)).await.unwrap();
    assert_eq!((then.version, then.height, then.supply_cap_minor), (1, before.height, Some(100)));
    let now = governance.policy(None).await.unwrap();
    assert_eq!(governance.policy_at(Height(now.height)).await.unwrap().version, 3);
    assert_eq!(governance.parameters().await.unwrap().supply_cap, Some(Amount::from_minor(300)));
    let future = governance.policy_at(Height(now.height + 1_000)).await.unwrap_err().to_string();
    assert!(future.contains("there is no block") && future.contains("newest"), "{future}");
    assert!(governance.policy(Some(4)).await.unwrap_err().to_string().contains("newest is 3"));
    running.node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_programmes_pay_shows_in_the_aggregates_and_in_the_profit_and_loss() {
    let running = Running::start(Parameters::default()).await;
    let governance = &running.governance;
    let opening: i128 = governance.profit_and_loss().await.unwrap().opening_equity_minor.parse().unwrap();
    let base_money = async || governance.aggregates().await.unwrap().m0_minor.parse::<u128>().unwrap();
    let before = base_money().await;
    let everybody = Cohort { class: Class::HOUSEHOLD, bank: None, first: 0 };
    let unbacked = Grant { cohort: everybody, amount_each: Amount::from_minor(100), purpose: None };
    let purpose = Purpose {
        expires_at: now().plus_ms(3_600_000),
        payees: Classes::of([Class::MERCHANT]),
        funding: Funding::Equity,
    };
    let at_bank_2 = Cohort { bank: Some(BankId(2)), first: 1, ..everybody };
    let targeted = Grant { cohort: at_bank_2, amount_each: Amount::from_minor(30), purpose: Some(purpose) };
    running.decide(vec![GovernanceAction::Grant(unbacked), GovernanceAction::Grant(targeted)]).await;
    running
        .wait_for(async || {
            let programmes = governance.programmes(0, None).await.unwrap().programmes;
            programmes.len() == 2 && programmes.iter().all(|programme| programme.state == "paid")
        })
        .await;

    let programmes = governance.programmes(0, None).await.unwrap().programmes;
    let figures = |programme: &v1::Programme| {
        (programme.number, programme.paid, programme.paid_minor.clone(), programme.outstanding_minor)
    };
    let figures: Vec<_> = programmes.iter().map(figures).collect();
    assert_eq!(figures, [(2, 1, "30".to_owned(), 30), (1, 4, "400".to_owned(), 0)]);
    assert_eq!(programmes[0].purpose.as_ref().unwrap().payees, ["merchant"]);

    let aggregates = governance.aggregates().await.unwrap();
    let parts = |parts: &[v1::CbdcParts], name: &str| {
        let parts = parts.iter().find(|parts| parts.name == name).unwrap();
        (parts.wallets, parts.available_minor, parts.earmarked_minor)
    };
    assert_eq!(parts(&aggregates.classes, "household"), (4, 400, 30));
    assert_eq!(parts(&aggregates.banks, "bank-1"), (2, 200, 0));
    assert_eq!(parts(&aggregates.banks, "bank-2"), (2, 200, 30));
    assert_eq!(aggregates.cbdc_minor, 430);
    assert_eq!(base_money().await, before + 430);

    let profit = governance.profit_and_loss().await.unwrap();
    let item = |name: &str| profit.items.iter().find(|item| item.name == name).unwrap().amount_minor.clone();
    assert_eq!((item("unbacked_issuance"), item("targeted_issuance")), ("-400".to_owned(), "-30".to_owned()));
    assert_eq!((profit.total_minor.as_str(), profit.equity_minor.clone()), ("-430", (opening - 430).to_string()));
    let sheet = governance.balance_sheet_with_unposted_interest().await.unwrap();
    assert_eq!((sheet.equity_minor, sheet.unposted_interest_minor), (profit.equity_minor, Some("0".to_owned())));
    assert_eq!(sheet.banks[1].status, "active");
    running.node.shutdown().await;
}
