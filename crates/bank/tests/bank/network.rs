//! Banks and a central bank on loopback, each on its own store, mutual TLS between them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use cbdc_bank::ReplicaKind;
use cbdc_ledger::amount::RatePpm;
use cbdc_ledger::command::payment::SIGNED_PAYMENT_BYTES;
use cbdc_ledger::command::{
    BankConsent, CertifiedFor, ConsentStatement, FLAG_REVERSE_WATERFALL, GovernanceAction, GovernanceProposal, Head,
    Kind, LinkBank, MoveWallet, Payment, PaymentKind, PlaceHold, Record, ReplaceKey, SessionStatement, Statement,
};
use cbdc_ledger::genesis::{DayCount, opening_books};
use cbdc_ledger::member::{Member, Role};
use cbdc_ledger::policy::Parameters;
use cbdc_ledger::policy::remuneration::Tiers;
use cbdc_ledger::{
    AccountId, Amount, BankId, Class, Command, FormatVersion, Genesis, HolderId, MemberId, NetworkId, Reason,
    Signature, Signed, SigningKey, Timestamp,
};
use cbdc_proto::answers::Answers;
use cbdc_proto::convert::{payment_to_message, receipt_from_message};
use cbdc_proto::packed::{BATCH_COMMANDS_MAX, PACKED_BYTES};
use cbdc_proto::status::{Finality, finality_of, refusal_of};
use cbdc_proto::transport::key_file::{write_private, write_signing_key};
use cbdc_proto::transport::{NodeIdentity, ServerTrust, connect};
use cbdc_proto::v1;
use cbdc_proto::v1::bank_client::BankClient;
use cbdc_proto::v1::consent_request::To;
use cbdc_proto::v1::settlement_client::SettlementClient;
use cbdc_proto::v1::submit_transfer_response::State;
use cbdc_storage::Column;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

const ROLES: [(Role, u16); 6] = [
    (Role::CentralBank, 1),
    (Role::Committee, 1),
    (Role::Operator, 1),
    (Role::Registrar, 1),
    (Role::Bank, 1),
    (Role::Bank, 2),
];

/// A network's folder, and the ports of its nodes.
struct Network {
    folder: tempfile::TempDir,
    id: NetworkId,
    central_port: u16,
    bank_ports: [u16; 2],
    replica: ReplicaKind,
}

/// Makes two tests of one: with full and with partial replicas.
macro_rules! with_either_replica {
    ($($test:ident)*) => {$(
        mod $test {
            #[tokio::test(flavor = "multi_thread")]
            async fn with_full_replicas() {
                super::$test(super::ReplicaKind::Full).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn with_partial_replicas() {
                super::$test(super::ReplicaKind::Partial).await;
            }
        }
    )*};
}

with_either_replica! {
    a_customer_is_funded_pays_across_banks_and_takes_money_out_again
    a_stream_answers_every_payment_in_its_place_and_history_knows_first_outcomes
    a_bank_goes_on_where_it_stopped_and_accepted_payments_settle_later
    what_is_accepted_counts_as_spent_and_is_shown
    a_number_out_of_the_window_may_settle_later_and_the_refusal_says_until_when
    demurrage_that_a_bank_does_not_know_is_absent_and_not_zero
    what_the_back_office_asks_for_under_one_id_takes_effect_once
    a_damaged_archive_is_not_served_and_the_block_is_named
    a_failing_disk_stops_the_node_and_says_so
    what_is_above_the_holding_limit_goes_to_the_deposit_and_comes_back_when_it_is_needed
    a_hold_is_captured_once_by_the_payees_bank_and_the_rest_returns
    a_bank_states_what_its_customers_have_on_deposit
}

fn seed(role: Role, id: u16) -> [u8; 32] {
    let mut seed = [role as u8; 32];
    seed[0] = id as u8;
    seed
}

fn random_id() -> Bytes {
    Bytes::copy_from_slice(&cbdc_client::random_id())
}

fn free_port() -> u16 {
    cbdc_devnet::free_address().unwrap().port()
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

impl Network {
    fn create(replica: ReplicaKind) -> Network {
        Network::create_with(Parameters::default(), replica)
    }

    fn create_with(policy: Parameters, replica: ReplicaKind) -> Network {
        let folder = tempfile::tempdir().unwrap();
        let members = ROLES.map(|(role, id)| make_member(folder.path(), role, id)).to_vec();
        let reserves = [1, 2].map(|bank| (BankId(bank), Amount::from_minor(1_000_000)));
        let genesis = Genesis {
            format: FormatVersion::NEWEST,
            currency: *b"XTS",
            currency_exponent: 2,
            day_count: DayCount::Actual365,
            day_offset_minutes: 0,
            created_at: Timestamp(now_ms()),
            validity_ms_max: 86_400_000,
            header_signatures: 1,
            threshold: 1,
            members,
            books: opening_books(reserves, Amount::ZERO, Amount::ZERO).unwrap(),
            policy,
        };
        std::fs::write(folder.path().join("genesis.bin"), genesis.to_bytes()).unwrap();
        for (role, id) in ROLES.into_iter().filter(|(role, _)| [Role::CentralBank, Role::Bank].contains(role)) {
            let data = folder.path().join(format!("{role}-{id}")).join("data");
            cbdc_node::Owner::new(&genesis, role, MemberId(id)).prepare(&genesis, false, &data).unwrap();
        }
        Network {
            id: genesis.network(),
            folder,
            central_port: free_port(),
            bank_ports: [free_port(), free_port()],
            replica,
        }
    }

    fn file(&self, role: Role, id: u16, name: &str) -> PathBuf {
        self.folder.path().join(format!("{role}-{id}")).join(name)
    }

    async fn start_central(&self) -> cbdc_central_bank::Node {
        self.start_central_in("data", "").await
    }

    /// Starts the central bank on a copy of its data. (A node that was stopped within this process may keep its folder
    /// locked for a while.)
    async fn start_central_again(&self) -> cbdc_central_bank::Node {
        self.start_central_again_with("").await
    }

    /// The same with more lines of configuration.
    async fn start_central_again_with(&self, more: &str) -> cbdc_central_bank::Node {
        let (data, copy) = (self.file(Role::CentralBank, 1, "data"), self.file(Role::CentralBank, 1, "copy"));
        std::fs::create_dir(&copy).unwrap();
        for entry in std::fs::read_dir(data).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
        }
        self.start_central_in("copy", more).await
    }

    async fn start_central_in(&self, data: &str, more: &str) -> cbdc_central_bank::Node {
        let (role, id) = (Role::CentralBank, 1);
        let text = format!(
            "genesis = {:?}\ndata_dir = {:?}\nlisten = \"127.0.0.1:{}\"\ncertificate = \"node.pem\"\nprivate_key = \
            \"node.key\"\nsigning_key = \"signing.key\"\ncheckpoint_every_blocks = 3\n{more}[operator]\n\
             member = 1\nsigning_key = {:?}\n",
            self.folder.path().join("genesis.bin"),
            self.file(role, id, data),
            self.central_port,
            self.file(Role::Operator, 1, "signing.key"),
        );
        let file = self.file(role, id, "node.toml");
        std::fs::write(&file, text).unwrap();
        cbdc_central_bank::start(cbdc_central_bank::Config::load(&file).unwrap()).await.unwrap()
    }

    fn bank_config(&self, bank: u16, more: &str) -> cbdc_bank::Config {
        let line = if self.replica == ReplicaKind::Partial { "replica = \"partial\"\n" } else { "" };
        let text = format!(
            "bank = {bank}\ngenesis = \"../genesis.bin\"\ndata_dir = \"data\"\nlisten = \"127.0.0.1:{}\"\ncertificate \
            = \"node.pem\"\nprivate_key = \"node.key\"\nsigning_key = \"signing.key\"\ncentral_bank = \
            \"127.0.0.1:{}\"\n{line}{more}",
            self.bank_ports[usize::from(bank) - 1],
            self.central_port,
        );
        let file = self.file(Role::Bank, bank, "node.toml");
        std::fs::write(&file, text).unwrap();
        cbdc_bank::Config::load(&file).unwrap()
    }

    async fn start_bank(&self, bank: u16, more: &str) -> cbdc_bank::Node {
        let node = cbdc_bank::start(self.bank_config(bank, more)).await.unwrap();
        assert_eq!(node.address().port(), self.bank_ports[usize::from(bank) - 1]);
        node
    }

    fn identity(&self, role: Role, id: u16) -> NodeIdentity {
        NodeIdentity::load(&self.file(role, id, "node.pem"), &self.file(role, id, "node.key")).unwrap()
    }

    /// A client of a bank: a customer, or the member whose certificate it shows.
    fn client(&self, bank: u16, member: Option<(Role, u16)>) -> BankClient<Channel> {
        let identity = member.map(|(role, id)| self.identity(role, id));
        let trust = ServerTrust::NodeKey(self.identity(Role::Bank, bank).public_key());
        let address = format!("127.0.0.1:{}", self.bank_ports[usize::from(bank) - 1]);
        BankClient::new(connect(&address, identity.as_ref(), &trust).unwrap())
    }

    /// The central bank's settlement, as member 1 of a role.
    fn settlement(&self, role: Role) -> SettlementClient<Channel> {
        let trust = ServerTrust::NodeKey(self.identity(Role::CentralBank, 1).public_key());
        let address = format!("127.0.0.1:{}", self.central_port);
        SettlementClient::new(connect(&address, Some(&self.identity(role, 1)), &trust).unwrap())
    }

    fn back_office(&self, bank: u16) -> BankClient<Channel> {
        self.client(bank, Some((Role::Bank, bank)))
    }

    fn open_request(&self, bank: u16, key: &SigningKey) -> v1::OpenWalletRequest {
        let holder = HolderId(key.public_key().0[..16].try_into().unwrap());
        let registrar = SigningKey::from_seed(seed(Role::Registrar, 1));
        let (purpose, valid_until) = (CertifiedFor::Open(BankId(bank)), Timestamp(u64::MAX));
        let statement = Statement { purpose, holder, class: Class::HOUSEHOLD, key: key.public_key(), valid_until };
        let certificate = statement.certify(self.id, MemberId(1), 0, &registrar);
        v1::OpenWalletRequest {
            holder: holder.0.to_vec().into(),
            class: "household".to_owned(),
            public_key: key.public_key().0.to_vec().into(),
            registrar: 1,
            registrar_key_version: 0,
            registrar_signature: certificate.signature.0.to_vec().into(),
            certificate_valid_until_ms: valid_until.0,
            agreement: statement.agree(self.id, &certificate, key).0.to_vec().into(),
        }
    }

    /// Waits for a stream to the central bank, then gives the bank CBDC.
    async fn issue(&self, bank: u16, amount_minor: u64) {
        self.until_reachable(bank, true).await;
        let kind = v1::request_bank_issuance_request::Kind::Issue.into();
        let request = v1::RequestBankIssuanceRequest { kind, amount_minor, request_id: random_id() };
        let outcome = self.back_office(bank).request_issuance(request).await.unwrap().into_inner().outcome.unwrap();
        assert!(outcome.settled, "{outcome:?}");
    }

    async fn until_reachable(&self, bank: u16, reachable: bool) {
        let mut client = self.client(bank, None);
        until(async || {
            let status = client.get_status(v1::GetStatusRequest {}).await;
            status.is_ok_and(|status| status.into_inner().central_bank_reachable == reachable)
        })
        .await;
    }

    /// A wallet of bank 1 with 5,000 and one of bank 2 with 10, the central bank and bank 1; bank 2 is away. `more` is
    /// for the configuration of bank 1.
    async fn start_and_leave_bank_two(&self, more: &str) -> (cbdc_central_bank::Node, cbdc_bank::Node, Wallet, Wallet) {
        let central = self.start_central().await;
        let one = self.start_bank(1, more).await;
        let two = self.start_bank(2, "").await;
        self.issue(1, 100_000).await;
        self.issue(2, 100_000).await;
        let (alice, bob) = (self.funded_wallet(1, 10, 5_000).await, self.funded_wallet(2, 11, 10).await);
        two.shutdown().await;
        (central, one, alice, bob)
    }

    /// A wallet with money on it, from a deposit that had twice as much.
    async fn funded_wallet(&self, bank: u16, seed: u8, amount_minor: u64) -> Wallet {
        let key = SigningKey::from_seed([seed; 32]);
        let mut client = self.client(bank, None);
        let opened = client.open_wallet(self.open_request(bank, &key)).await.unwrap().into_inner();
        let account: AccountId = opened.account.parse().unwrap();
        let wallet = Wallet { network: self.id, key, account };
        if amount_minor > 0 {
            let credit = v1::CreditDepositRequest {
                account: opened.account.clone(),
                amount_minor: 2 * amount_minor,
                request_id: vec![seed; 16].into(),
            };
            self.back_office(bank).credit_deposit(credit).await.unwrap();
            let fund =
                v1::FundRequest { account: opened.account.clone(), amount_minor, request_id: vec![seed; 16].into() };
            let funded = client.fund(wallet.request(&client, fund).await).await.unwrap().into_inner();
            assert!(funded.outcome.unwrap().settled);
        }
        wallet
    }
}

fn make_member(folder: &Path, role: Role, id: u16) -> Member {
    let folder = folder.join(format!("{role}-{id}"));
    std::fs::create_dir(&folder).unwrap();
    write_signing_key(&folder.join("signing.key"), &seed(role, id)).unwrap();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let certificate = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(folder.join("node.pem"), certificate.pem()).unwrap();
    write_private(&folder.join("node.key"), key.serialize_pem().as_bytes()).unwrap();
    let node_key = NodeIdentity::load(&folder.join("node.pem"), &folder.join("node.key")).unwrap().public_key();
    Member {
        role,
        id: MemberId(id),
        name: format!("{role} {id}"),
        signing_key: SigningKey::from_seed(seed(role, id)).public_key(),
        node_key: Some(node_key),
    }
}

async fn until(mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..400 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it did not come about within 10 s");
}

struct Wallet {
    network: NetworkId,
    key: SigningKey,
    account: AccountId,
}

impl Wallet {
    fn sign(&self, kind: PaymentKind, to: AccountId, amount_minor: u64, sequence: u64) -> Signed<Payment> {
        let head = Head { flags: 0, key_version: 0, sequence, valid_until: Timestamp(now_ms() + 600_000) };
        let (amount, max_fee) = (Amount::from_minor(amount_minor), Amount::ZERO);
        Payment { kind, head, from: self.account, to, amount, max_fee, reference: [0; 16] }
            .sign(self.network, &self.key)
    }

    /// A request within the holder's session.
    async fn request<M>(&self, client: &BankClient<Channel>, message: M) -> Request<M> {
        let mut request = Request::new(message);
        let token = self.open_session(client.clone()).await.unwrap();
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        request
    }

    /// The token of a new session.
    async fn open_session(&self, mut client: BankClient<Channel>) -> Result<String, Status> {
        let bank = client.get_status(v1::GetStatusRequest {}).await?.into_inner().bank;
        let statement = self.session(&mut client, bank as u16).await?;
        let statement = statement.sign(self.network, &self.key).to_bytes().to_vec().into();
        Ok(client.open_session(v1::OpenSessionRequest { statement }).await?.into_inner().token)
    }

    /// What the holder signs to open a session, with a bank's challenge.
    async fn session(&self, client: &mut BankClient<Channel>, bank: u16) -> Result<SessionStatement, Status> {
        let given = client.begin_session(v1::BeginSessionRequest {}).await?.into_inner();
        Ok(SessionStatement {
            bank: BankId(bank),
            key_version: 0,
            account: self.account,
            expires_at: Timestamp(given.expires_at_ms),
            challenge: given.challenge.to_vec().try_into().unwrap(),
        })
    }

    fn transfer(&self, to: &Wallet, amount_minor: u64, sequence: u64) -> Signed<Payment> {
        self.sign(PaymentKind::Transfer, to.account, amount_minor, sequence)
    }

    /// A transfer that the linked bank may top up.
    fn topped_up(&self, to: &Wallet, amount_minor: u64, sequence: u64) -> Signed<Payment> {
        let mut record = self.transfer(to, amount_minor, sequence).record;
        record.head.flags = FLAG_REVERSE_WATERFALL;
        record.sign(self.network, &self.key)
    }

    fn command<R: Record>(&self, sequence: u64, make: impl FnOnce(Head) -> R) -> Command
    where
        Signed<R>: Into<Command>,
    {
        let head = Head { flags: 0, key_version: 0, sequence, valid_until: Timestamp(now_ms() + 600_000) };
        make(head).sign(self.network, &self.key).into()
    }

    fn link(&self, bank: u16, sequence: u64) -> Command {
        let bank = BankId(bank);
        let statement =
            ConsentStatement { kind: Kind::LinkBank, bank, account: self.account, valid_until: Timestamp(u64::MAX) };
        let bank_key = SigningKey::from_seed(seed(Role::Bank, bank.0));
        let consent = (bank != BankId(0)).then(|| statement.sign(self.network, 0, &bank_key));
        self.command(sequence, |head| LinkBank { head, account: self.account, bank, consent })
    }
}

fn submit(payment: &Signed<Payment>, accept_when_unreachable: bool) -> v1::SubmitTransferRequest {
    v1::SubmitTransferRequest { payment: Some(payment_to_message(payment)), accept_when_unreachable }
}

fn by_account(account: AccountId) -> v1::GetWalletRequest {
    v1::GetWalletRequest { wallet: Some(v1::get_wallet_request::Wallet::Account(account.to_string())) }
}

async fn details(client: &mut BankClient<Channel>, wallet: &Wallet) -> v1::Wallet {
    let request = wallet.request(client, by_account(wallet.account)).await;
    client.get_wallet(request).await.unwrap().into_inner()
}

async fn posted(client: &mut BankClient<Channel>, wallet: &Wallet) -> u64 {
    details(client, wallet).await.posted_minor
}

async fn deposit(client: &mut BankClient<Channel>, wallet: &Wallet) -> (u64, u64) {
    let request = v1::GetDepositRequest { account: wallet.account.to_string() };
    let request = wallet.request(client, request).await;
    let deposit = client.get_deposit(request).await.unwrap().into_inner();
    (deposit.balance_minor, deposit.in_transit_minor)
}

/// Submits a holder's command.
async fn command(client: &mut BankClient<Channel>, command: &Command) -> v1::Outcome {
    let request = v1::SubmitHolderCommandRequest { command: command.to_bytes().into() };
    client.submit_holder_command(request).await.unwrap().into_inner()
}

/// Pays, and returns what came from the payer's deposit.
async fn pay(client: &mut BankClient<Channel>, payment: &Signed<Payment>) -> u64 {
    let outcome = client.submit_transfer(submit(payment, false)).await.unwrap().into_inner().outcome.unwrap();
    assert!(outcome.settled && outcome.amount == 0, "{outcome:?}");
    outcome.limit
}

async fn height(client: &mut BankClient<Channel>) -> u64 {
    client.get_status(v1::GetStatusRequest {}).await.unwrap().into_inner().height
}

async fn a_customer_is_funded_pays_across_banks_and_takes_money_out_again(replica: ReplicaKind) {
    let network = Network::create(replica);
    let central = network.start_central().await;
    let strict = if replica == ReplicaKind::Full {
        "precheck_signatures = true\nverify_blocks = true\n"
    } else {
        "precheck_signatures = true\n"
    };
    let (one, two) = (network.start_bank(1, "").await, network.start_bank(2, strict).await);
    network.issue(1, 100_000).await;
    network.issue(2, 100_000).await;
    let (alice, bob) = (network.funded_wallet(1, 10, 1_000).await, network.funded_wallet(2, 11, 500).await);
    let (mut at_one, mut at_two) = (network.client(1, None), network.client(2, None));
    assert_eq!((posted(&mut at_one, &alice).await, deposit(&mut at_one, &alice).await), (1_000, (1_000, 0)));

    // Repeated requests are answered as the first time.
    let opened = at_one.open_wallet(network.open_request(1, &alice.key)).await.unwrap().into_inner();
    assert_eq!(opened.account, alice.account.to_string());
    let fund = v1::FundRequest { account: opened.account, amount_minor: 1_000, request_id: vec![10; 16].into() };
    let again = at_one.fund(alice.request(&at_one, fund).await).await.unwrap().into_inner();
    assert!(again.outcome.unwrap().settled);
    assert_eq!(deposit(&mut at_one, &alice).await, (1_000, 0));

    // A payment across banks; submitted again, it has its first outcome.
    let payment = alice.transfer(&bob, 300, 1);
    let paid = at_one.submit_transfer(submit(&payment, false)).await.unwrap().into_inner();
    assert_eq!(paid.state(), State::Final);
    let outcome = paid.outcome.unwrap();
    assert!(outcome.settled && outcome.height > 0, "{outcome:?}");
    let again = at_one.submit_transfer(submit(&payment, false)).await.unwrap().into_inner();
    assert_eq!(again.outcome.unwrap(), outcome);
    let conflict = at_one.submit_transfer(submit(&alice.transfer(&bob, 301, 1), false)).await.unwrap_err();
    assert_eq!(refusal_of(&conflict).unwrap().reason, Reason::SequenceConflict);

    // This bank relays no payment of another bank's customer; a forged signature is refused at either bank.
    let elsewhere = at_two.submit_transfer(submit(&payment, false)).await.unwrap_err();
    assert_eq!(elsewhere.code(), Code::PermissionDenied);
    for (client, payer, payee) in [(&mut at_one, &alice, &bob), (&mut at_two, &bob, &alice)] {
        let mut forged = payer.transfer(payee, 1, 60);
        forged.signature.0[40] ^= 1;
        let refused = client.submit_transfer(submit(&forged, false)).await.unwrap_err();
        assert_eq!(refusal_of(&refused).unwrap().reason, Reason::BadSignature);
    }

    // More than is there: ordered, refused, final.
    let too_much = at_one.submit_transfer(submit(&alice.transfer(&bob, 5_000, 2), false)).await.unwrap().into_inner();
    assert_eq!(too_much.outcome.unwrap().reason, "INSUFFICIENT_FUNDS");
    let quote = v1::QuoteTransferRequest {
        from: alice.account.to_string(),
        to: bob.account.to_string(),
        amount_minor: 5_000,
        max_fee_minor: None,
    };
    let quote = alice.request(&at_one, quote).await;
    let quote = at_one.quote_transfer(quote).await.unwrap().into_inner();
    assert_eq!((quote.would_settle, quote.reason.as_str(), quote.limit), (false, "INSUFFICIENT_FUNDS", 700));

    // Out again: deposit + wallet is what it was.
    let defund = bob.sign(PaymentKind::Defund, AccountId::treasury(BankId(2)), 200, 1);
    let request = v1::DefundRequest { payment: Some(payment_to_message(&defund)) };
    let defunded = at_two.defund(request).await.unwrap().into_inner();
    assert!(defunded.outcome.unwrap().settled);
    until(async || deposit(&mut at_two, &bob).await == (700, 0)).await;
    until(async || (posted(&mut at_two, &bob).await, posted(&mut at_one, &alice).await) == (600, 700)).await;

    // History and receipt.
    let list = v1::ListPaymentsRequest { account: alice.account.to_string(), page_size: 2, page_token: String::new() };
    let page = at_one.list_payments(alice.request(&at_one, list.clone()).await).await.unwrap().into_inner();
    let shown: Vec<_> =
        page.payments.iter().map(|entry| (entry.kind.as_str(), entry.amount_minor, entry.reason.as_str())).collect();
    assert_eq!(shown, [("transfer", 5_000, "INSUFFICIENT_FUNDS"), ("transfer", 300, "SETTLED")]);
    let list = v1::ListPaymentsRequest { page_token: page.next_page_token, ..list };
    let page = at_one.list_payments(alice.request(&at_one, list).await).await.unwrap().into_inner();
    assert_eq!(page.payments.iter().map(|entry| entry.kind.as_str()).collect::<Vec<_>>(), ["fund"]);
    let number = v1::get_bank_receipt_request::SequenceNumber { account: alice.account.to_string(), sequence: 1 };
    let command = Some(v1::get_bank_receipt_request::Command::Sequence(number));
    let request = v1::GetBankReceiptRequest { command, command_hash: Bytes::new() };
    let request = alice.request(&at_one, request).await;
    let receipt = receipt_from_message(&at_one.get_receipt(request).await.unwrap().into_inner()).unwrap();
    let central_key = SigningKey::from_seed(seed(Role::CentralBank, 1)).public_key();
    assert_eq!(receipt.check(network.id, 1, |_| Some(central_key)).unwrap(), payment.into());

    // The back office is the bank's own alone.
    for member in [None, Some((Role::Bank, 2)), Some((Role::Operator, 1))] {
        let refused = network.client(1, member).get_treasury(v1::GetTreasuryRequest {}).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied, "{member:?}");
    }
    let treasury = network.back_office(1).get_treasury(v1::GetTreasuryRequest {}).await.unwrap().into_inner();
    assert_eq!((treasury.available_minor, treasury.deposits_minor, treasury.in_transit_minor), (99_000, 1_000, 0));
    tokio::join!(one.shutdown(), two.shutdown());
    central.shutdown().await;
}

async fn a_stream_answers_every_payment_in_its_place_and_history_knows_first_outcomes(replica: ReplicaKind) {
    let network = Network::create(replica);
    let central = network.start_central().await;
    let one = network.start_bank(1, "").await;
    network.issue(1, 100_000).await;
    let (alice, bob) = (network.funded_wallet(1, 10, 5_000).await, network.funded_wallet(1, 11, 0).await);
    let mut client = network.client(1, None);
    let mut batches: Vec<Vec<u8>> = (0..40_u64)
        .map(|batch| {
            let record = |number: u64| alice.transfer(&bob, 10, batch * 2 + number + 1).to_bytes();
            [record(0), record(1)].concat()
        })
        .collect();
    let foreign =
        Wallet { network: network.id, key: SigningKey::from_seed([9; 32]), account: AccountId::new(BankId(2), 1) };
    batches.push([alice.transfer(&bob, 10, 81).to_bytes(), foreign.transfer(&bob, 1, 1).to_bytes()].concat());
    batches.push(Vec::new());

    for round in 0..2 {
        let messages: Vec<_> = batches
            .iter()
            .enumerate()
            .map(|(id, commands)| {
                let takes_runs = id.is_multiple_of(2);
                v1::CommandBatch { batch_id: id as u64, commands: commands.clone().into(), takes_runs }
            })
            .collect();
        let mut answers = client.submit_transfers(tokio_stream::iter(messages)).await.unwrap().into_inner();
        let mut answered = 0;
        while let Some(answer) = answers.message().await.unwrap() {
            let id = answer.batch_id;
            assert!(id.is_multiple_of(2) || answer.settled_run.is_none(), "batch {id} did not ask for a run");
            let outcomes = Answers::from_message(answer).and_then(|answers| answers.unpacked()).unwrap();
            assert_eq!(outcomes.len(), batches[id as usize].len() / SIGNED_PAYMENT_BYTES);
            for (at, outcome) in outcomes.iter().enumerate() {
                if (id, at) == (40, 1) {
                    assert_eq!(outcome.outcome.reason, Reason::NotAuthorised);
                } else if outcome.is_ordered() {
                    assert!(outcome.outcome.is_settled(), "round {round}: {outcome:?}");
                } else {
                    // Sent ahead of its window: nothing was used, and it may be sent again.
                    assert_eq!((round, outcome.outcome.reason), (0, Reason::SequenceOutOfWindow));
                }
            }
            answered += 1;
        }
        assert_eq!(answered, batches.len());
    }
    until(async || posted(&mut client, &bob).await == 810).await;

    // The largest batch that a bank takes goes through to the central bank whole.
    let largest = batches[0][..SIGNED_PAYMENT_BYTES].repeat(BATCH_COMMANDS_MAX);
    let largest = v1::CommandBatch { batch_id: 1, commands: largest.into(), takes_runs: true };
    let mut answers = client.submit_transfers(tokio_stream::iter([largest])).await.unwrap().into_inner();
    let answers = Answers::from_message(answers.message().await.unwrap().unwrap()).unwrap().unpacked().unwrap();
    assert_eq!(answers.len(), BATCH_COMMANDS_MAX);
    assert!(answers.iter().all(|answer| answer.is_ordered() && answer.outcome.is_settled()));
    until(async || posted(&mut client, &bob).await == 810).await;

    // A batch that settles whole is answered by its block position, where its sender takes that; repeated, command by
    // command.
    let pair = [alice.transfer(&bob, 5, 82).to_bytes(), alice.transfer(&bob, 5, 83).to_bytes()].concat();
    let mut ask = async |commands: Vec<u8>| {
        let batch = v1::CommandBatch { batch_id: 7, commands: commands.into(), takes_runs: true };
        let mut answers = client.submit_transfers(tokio_stream::iter([batch])).await.unwrap().into_inner();
        answers.message().await.unwrap().unwrap()
    };
    let (by_position, each) = (ask(pair.clone()).await, ask(pair).await);
    assert_eq!((by_position.settled_run.map(|run| run.count), by_position.outcomes.len()), (Some(2), 0));
    assert_eq!((each.settled_run, each.outcomes.len()), (None, 2 * PACKED_BYTES));
    let unpacked = |answer| Answers::from_message(answer).unwrap().unpacked().unwrap();
    let first = unpacked(by_position);
    assert!(first.iter().all(|answer| answer.outcome.is_settled()) && first[1].index == first[0].index + 1);
    assert_eq!(unpacked(each), first);

    // Whatever a batch holds beside good payments, at the central bank each answer has the index of its command.
    let pay = |sequence| alice.transfer(&bob, 5, sequence);
    let (used, again, mut forged) = (pay(84), pay(85), pay(90));
    forged.signature.0[40] ^= 1;
    let mut settlement = network.settlement(Role::Bank);
    let mut ask = async |commands: &[Signed<Payment>]| {
        let commands: Vec<u8> = commands.iter().flat_map(|payment| payment.to_bytes()).collect();
        let batch = v1::CommandBatch { batch_id: 8, commands: commands.into(), takes_runs: true };
        let mut answers = settlement.submit(tokio_stream::iter([batch])).await.unwrap().into_inner();
        unpacked(answers.message().await.unwrap().unwrap())
    };
    let first = ask(&[used]).await[0];
    let answers = ask(&[used, again, forged, pay(86), again, pay(1_000_000), pay(87), used]).await;
    let reasons = answers.iter().map(|answer| answer.outcome.reason);
    let (settled, bad, ahead) = (Reason::Settled, Reason::BadSignature, Reason::SequenceOutOfWindow);
    assert!(reasons.eq([settled, settled, bad, settled, settled, ahead, settled, settled]), "{answers:?}");
    assert_eq!([answers[0], answers[7]], [first; 2]);
    assert_eq!(answers[4], answers[1], "ordered twice in one batch: the first outcome answers both");
    assert_eq!([3, 6].map(|at| answers[at].index - answers[1].index), [1, 3]);
    // A batch with nothing left to order.
    assert_eq!(ask(&[forged, used]).await[..], [answers[2], first]);
    until(async || posted(&mut client, &bob).await == 840).await;

    // A batch that holds no whole number of payments ends the stream, with a reason.
    let crooked = v1::CommandBatch { batch_id: 1, commands: vec![0; 135].into(), takes_runs: true };
    // What came before it is answered first, from the bank and from the central bank.
    let whole = v1::CommandBatch { batch_id: 2, commands: alice.transfer(&bob, 5, 88).to_bytes().into(), ..crooked };
    let mut answers = client.submit_transfers(tokio_stream::iter([whole, crooked.clone()])).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().batch_id, 2);
    assert_eq!(answers.message().await.unwrap_err().code(), Code::InvalidArgument);
    let whole = v1::CommandBatch { batch_id: 3, commands: alice.transfer(&bob, 5, 89).to_bytes().into(), ..crooked };
    let mut answers = settlement.submit(tokio_stream::iter([whole, crooked])).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().batch_id, 3);
    assert_eq!(answers.message().await.unwrap_err().code(), Code::InvalidArgument);
    one.shutdown().await;
    central.shutdown().await;
}

async fn a_bank_goes_on_where_it_stopped_and_accepted_payments_settle_later(replica: ReplicaKind) {
    let network = Network::create(replica);
    let central = network.start_central().await;
    let one = network.start_bank(1, "checkpoint_every_blocks = 2\n").await;
    network.issue(1, 100_000).await;
    let (alice, bob) = (network.funded_wallet(1, 10, 5_000).await, network.funded_wallet(1, 11, 10).await);
    one.shutdown().await;
    central.shutdown().await;

    // The bank alone: it answers what it knows, and says what it cannot know.
    let one = network.start_bank(1, "checkpoint_every_blocks = 2\nprecheck_signatures = false\n").await;
    let mut client = network.client(1, None);
    assert_eq!((posted(&mut client, &alice).await, deposit(&mut client, &alice).await), (5_000, (5_000, 0)));
    let payment = alice.transfer(&bob, 70, 1);
    let unknown = client.submit_transfer(submit(&payment, false)).await.unwrap_err();
    assert_eq!(unknown.code(), Code::Unavailable);
    let accepted = client.submit_transfer(submit(&payment, true)).await.unwrap().into_inner();
    assert_eq!((accepted.state(), accepted.outcome), (State::Accepted, None));
    // Nor does a stranger learn which of the wallet's numbers are used.
    for sequence in [2, 500] {
        let mut forged = alice.transfer(&bob, 1, sequence);
        forged.signature.0[40] ^= 1;
        let refused = client.submit_transfer(submit(&forged, true)).await.unwrap_err();
        assert_eq!(refusal_of(&refused).unwrap().reason, Reason::BadSignature);
    }
    let fund = v1::FundRequest { account: alice.account.to_string(), amount_minor: 5, request_id: vec![99; 16].into() };
    let fund = alice.request(&client, fund).await;
    assert_eq!(client.fund(fund).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!((deposit(&mut client, &alice).await, posted(&mut client, &bob).await), ((5_000, 0), 10));
    drop(client);
    one.shutdown().await;

    // It is in the durable outbox: after another restart, with the central bank back, it settles, once.
    let one = network.start_bank(1, "").await;
    let central = network.start_central_again().await;
    let mut client = network.client(1, None);
    until(async || posted(&mut client, &bob).await == 80).await;
    until(async || client.get_status(v1::GetStatusRequest {}).await.unwrap().into_inner().outbox == 0).await;
    let again = client.submit_transfer(submit(&payment, true)).await.unwrap().into_inner();
    assert!(again.outcome.unwrap().settled);
    assert_eq!(posted(&mut client, &bob).await, 80);
    drop(client);
    one.shutdown().await;
    central.shutdown().await;
}

async fn what_is_accepted_counts_as_spent_and_is_shown(replica: ReplicaKind) {
    let network = Network::create(replica);
    let central = network.start_central().await;
    let one = network.start_bank(1, "").await;
    network.issue(1, 100_000).await;
    let (alice, bob) = (network.funded_wallet(1, 10, 1_000).await, network.funded_wallet(1, 11, 10).await);
    let mut client = network.client(1, None);
    central.shutdown().await;
    network.until_reachable(1, false).await;

    // Twenty times the wallet's whole balance: one is accepted.
    let payments: Vec<_> = (1..=20).map(|sequence| alice.transfer(&bob, 1_000, sequence)).collect();
    let accepted = client.submit_transfer(submit(&payments[0], true)).await.unwrap().into_inner();
    assert_eq!(accepted.state(), State::Accepted);
    for payment in &payments[1..] {
        let refused = client.submit_transfer(submit(payment, true)).await.unwrap_err();
        let refusal = refusal_of(&refused).unwrap();
        assert_eq!((refusal.reason, refusal.limit, refusal.amount), (Reason::NotAccepted, 0, 1_000));
        assert_eq!(finality_of(&refused), Finality::MaySettleUntil(payment.record.head.valid_until));
    }
    // The same record gets the same answer; another with its number is not accepted beside it, and could settle
    // instead.
    let accepted = client.submit_transfer(submit(&payments[0], true)).await.unwrap().into_inner();
    assert_eq!(accepted.state(), State::Accepted);
    let other = client.submit_transfer(submit(&alice.transfer(&bob, 1, 1), true)).await.unwrap_err();
    assert_eq!(other.code(), Code::Unavailable, "{other:?}");

    let wallet = details(&mut client, &alice).await;
    let shown = (wallet.posted_minor, wallet.available_minor, wallet.accepted_minor, wallet.next_sequence);
    assert_eq!(shown, (1_000, 0, 1_000, 2));
    let list = v1::ListPaymentsRequest { account: alice.account.to_string(), ..Default::default() };
    let page = client.list_payments(alice.request(&client, list.clone()).await).await.unwrap().into_inner();
    assert_eq!(page.accepted, [payment_to_message(&payments[0])]);
    assert!(page.payments.iter().all(|payment| payment.kind == "fund"), "{page:?}");
    assert_eq!(receipt_of(&mut client, &alice, 1).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(receipt_of(&mut client, &alice, 2).await.unwrap_err().code(), Code::NotFound);
    let status = client.get_status(v1::GetStatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.central_bank_reachable, status.outbox), (false, 1));

    // With the central bank back it settles, and is shown as a payment of the chain instead.
    let central = network.start_central_again().await;
    until(async || posted(&mut client, &bob).await == 1_010).await;
    until(async || client.get_status(v1::GetStatusRequest {}).await.unwrap().into_inner().outbox == 0).await;
    let wallet = details(&mut client, &alice).await;
    let shown = (wallet.posted_minor, wallet.available_minor, wallet.accepted_minor, wallet.next_sequence);
    assert_eq!(shown, (0, 0, 0, 2));
    let list = alice.request(&client, list).await;
    assert!(client.list_payments(list).await.unwrap().into_inner().accepted.is_empty());
    until(async || receipt_of(&mut client, &alice, 1).await.is_ok()).await;
    network.until_reachable(1, true).await;
    let second = client.submit_transfer(submit(&payments[1], true)).await.unwrap().into_inner().outcome.unwrap();
    assert_eq!(second.reason, "INSUFFICIENT_FUNDS");
    drop(client);
    one.shutdown().await;
    central.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_central_bank_that_waits_for_banks_says_so_and_so_does_the_bank() {
    let network = Network::create(ReplicaKind::Full);
    let (central, one, alice, bob) = network.start_and_leave_bank_two("").await;
    let mut client = network.client(1, None);
    let state = async || network.client(1, None).get_status(v1::GetStatusRequest {}).await.unwrap().into_inner();
    assert_eq!(state().await.central_bank_state, "SERVING");
    central.shutdown().await;
    until(async || state().await.central_bank_state == "UNREACHABLE").await;

    // It waits for bank 2, which is away: it is there, and settles nothing.
    let central = network.start_central_again_with("wait_for_banks_ms = 600000\n").await;
    until(async || state().await.central_bank_state == "NOT_SETTLING").await;
    assert!(state().await.central_bank_reachable);
    let payment = alice.transfer(&bob, 10, 1);
    let unknown = client.submit_transfer(submit(&payment, false)).await.unwrap_err();
    assert_eq!(refusal_of(&unknown).unwrap().reason, Reason::Unavailable);
    assert!(unknown.message().contains("waits for banks"), "{unknown}");

    let two = network.start_bank(2, "").await;
    until(async || state().await.central_bank_state == "SERVING").await;
    assert!(client.submit_transfer(submit(&payment, false)).await.unwrap().into_inner().outcome.unwrap().settled);
    drop(client);
    two.shutdown().await;
    one.shutdown().await;
    central.shutdown().await;
}

async fn receipt_of(
    client: &mut BankClient<Channel>,
    wallet: &Wallet,
    sequence: u64,
) -> Result<tonic::Response<v1::Receipt>, tonic::Status> {
    let account = wallet.account.to_string();
    let by_sequence = v1::get_bank_receipt_request::SequenceNumber { account, sequence };
    let command = Some(v1::get_bank_receipt_request::Command::Sequence(by_sequence));
    let request = v1::GetBankReceiptRequest { command, ..Default::default() };
    client.get_receipt(wallet.request(client, request).await).await
}

async fn a_number_out_of_the_window_may_settle_later_and_the_refusal_says_until_when(replica: ReplicaKind) {
    let network = Network::create(replica);
    let central = network.start_central().await;
    let one = network.start_bank(1, "").await;
    network.issue(1, 100_000).await;
    let (alice, bob) = (network.funded_wallet(1, 10, 1_000).await, network.funded_wallet(1, 11, 10).await);
    let mut client = network.client(1, None);
    let beyond = alice.transfer(&bob, 5, 65);
    let refused = client.submit_transfer(submit(&beyond, false)).await.unwrap_err();
    assert_eq!(refusal_of(&refused).unwrap().reason, Reason::SequenceOutOfWindow);
    assert_eq!(finality_of(&refused), Finality::MaySettleUntil(beyond.record.head.valid_until));
    // One that nobody can order is refused for good, and so is the other record of a used number.
    let mut forged = alice.transfer(&bob, 5, 2);
    forged.signature.0[40] ^= 1;
    let refused = client.submit_transfer(submit(&forged, false)).await.unwrap_err();
    assert_eq!(finality_of(&refused), Finality::Final, "{refused:?}");
    pay(&mut client, &alice.transfer(&bob, 7, 1)).await;
    let conflict = client.submit_transfer(submit(&alice.transfer(&bob, 8, 1), false)).await.unwrap_err();
    let reason = refusal_of(&conflict).unwrap().reason;
    assert_eq!((reason, finality_of(&conflict)), (Reason::SequenceConflict, Finality::Final));
    pay(&mut client, &beyond).await;
    until(async || posted(&mut client, &bob).await == 22).await;

    // After an orderly restart the bank knows that nothing is unanswered.
    drop(client);
    one.shutdown().await;
    let one = network.start_bank(1, "").await;
    network.until_reachable(1, true).await;
    let mut client = network.client(1, None);
    let beyond = alice.transfer(&bob, 5, 500);
    let refused = client.submit_transfer(submit(&beyond, false)).await.unwrap_err();
    let may_settle = Finality::MaySettleUntil(beyond.record.head.valid_until);
    assert_eq!((refused.code(), finality_of(&refused)), (Code::OutOfRange, may_settle));
    drop(client);
    one.shutdown().await;
    central.shutdown().await;
}

/// Whatever stops in between: the answer that never came is the first one.
async fn what_the_back_office_asks_for_under_one_id_takes_effect_once(replica: ReplicaKind) {
    let network = Network::create(replica);
    let central = network.start_central().await;
    let one = network.start_bank(1, "").await;
    network.issue(1, 1_000).await;
    let transfer =
        |id: u8, amount_minor| v1::TransferReservesRequest { to: 2, amount_minor, request_id: vec![id; 16].into() };
    let issuance = |id: u8, amount_minor| {
        let kind = v1::request_bank_issuance_request::Kind::Issue.into();
        v1::RequestBankIssuanceRequest { kind, amount_minor, request_id: vec![id; 16].into() }
    };
    let books = async || {
        let treasury = network.back_office(1).get_treasury(v1::GetTreasuryRequest {}).await.unwrap().into_inner();
        (treasury.available_minor, treasury.reserves_minor)
    };
    let (treasury, reserves) = books().await;
    let mut office = network.back_office(1);
    let moved = office.transfer_reserves(transfer(1, 50)).await.unwrap().into_inner();
    let issued = office.request_issuance(issuance(2, 7)).await.unwrap().into_inner();
    assert!(moved.settled && issued.outcome.as_ref().unwrap().settled, "{moved:?} {issued:?}");
    // Of two at once, too.
    let (mut first, mut second) = (office.clone(), office.clone());
    let (first, second) =
        tokio::join!(first.transfer_reserves(transfer(3, 1)), second.transfer_reserves(transfer(3, 1)));
    assert_eq!(first.unwrap().into_inner(), second.unwrap().into_inner());
    drop(office);
    central.shutdown().await;

    // Neither an answer nor word that nothing was done; and nothing is sent once the caller has gone.
    let mut office = network.back_office(1);
    assert_eq!(office.transfer_reserves(transfer(1, 50)).await.unwrap().into_inner(), moved);
    assert_eq!(office.request_issuance(issuance(2, 7)).await.unwrap().into_inner(), issued);
    let unknown = office.transfer_reserves(transfer(4, 5)).await.unwrap_err();
    assert_eq!(refusal_of(&unknown).unwrap().reason, Reason::Unavailable, "{unknown:?}");
    let unknown = office.request_issuance(issuance(5, 3)).await.unwrap_err();
    assert_eq!(refusal_of(&unknown).unwrap().reason, Reason::Unavailable, "{unknown:?}");
    drop(office);
    one.shutdown().await;

    // Both were started anew and know nothing of what was in flight but what is on their disks.
    let central = network.start_central_again().await;
    let one = network.start_bank(1, "").await;
    network.until_reachable(1, true).await;
    let mut office = network.back_office(1);
    for _ in 0..2 {
        let answer = office.transfer_reserves(transfer(4, 5)).await.unwrap().into_inner();
        assert!(answer.settled, "{answer:?}");
        let answer = office.request_issuance(issuance(5, 3)).await.unwrap().into_inner();
        assert!(answer.outcome.unwrap().settled);
        assert_eq!(office.transfer_reserves(transfer(1, 50)).await.unwrap().into_inner(), moved);
        assert_eq!(office.request_issuance(issuance(2, 7)).await.unwrap().into_inner(), issued);
    }
    assert_eq!(books().await, (treasury + 7 + 3, reserves - 50 - 1 - 5 - 7 - 3));
    for other in [transfer(4, 6), transfer(2, 7)] {
        let conflict = office.transfer_reserves(other).await.unwrap_err();
        assert_eq!(refusal_of(&conflict).unwrap().reason, Reason::RequestConflict, "{conflict:?}");
    }
    drop(office);
    one.shutdown().await;
    central.shutdown().await;
}

async fn demurrage_that_a_bank_does_not_know_is_absent_and_not_zero(replica: ReplicaKind) {
    let mut policy = Parameters::default();
    policy.classes[Class::HOUSEHOLD.index()].tiers = Tiers::flat(RatePpm(-10_000));
    let network = Network::create_with(policy, replica);
    let central = network.start_central().await;
    let one = network.start_bank(1, "").await;
    network.issue(1, 100_000).await;
    let alice = network.funded_wallet(1, 10, 5_000).await;
    let mut client = network.client(1, None);
    assert_eq!(details(&mut client, &alice).await.claim_minor, Some(0));
    central.shutdown().await;
    let known = details(&mut client, &alice).await;
    // A full replica knows it by itself; a partial one asks.
    assert_eq!(known.claim_minor, Some(0).filter(|_| replica == ReplicaKind::Full));
    assert_eq!(known.posted_minor, 5_000);
    drop(client);
    one.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_catches_up_from_a_peer_while_the_central_bank_is_away() {
    let network = Network::create(ReplicaKind::Full);
    let central = network.start_central().await;
    let one = network.start_bank(1, "").await;
    network.issue(1, 100_000).await;
    let (alice, bob) = (network.funded_wallet(1, 10, 5_000).await, network.funded_wallet(1, 11, 10).await);
    let mut at_one = network.client(1, None);
    at_one.submit_transfer(submit(&alice.transfer(&bob, 70, 1), false)).await.unwrap();
    central.shutdown().await;

    let two = network.start_bank(2, &format!("peers = [\"127.0.0.1:{}\"]\n", network.bank_ports[0])).await;
    let reached = height(&mut at_one).await;
    let mut at_two = network.client(2, None);
    until(async || height(&mut at_two).await == reached).await;
    let central = network.start_central_again().await;
    network.until_reachable(1, true).await;
    at_one.submit_transfer(submit(&alice.transfer(&bob, 5, 2), false)).await.unwrap();
    until(async || height(&mut at_two).await > reached).await;
    drop((at_one, at_two));
    tokio::join!(one.shutdown(), two.shutdown());
    central.shutdown().await;
}

async fn a_damaged_archive_is_not_served_and_the_block_is_named(replica: ReplicaKind) {
    let network = Network::create(replica);
    let central = network.start_central().await;
    let store = Arc::new(cbdc_storage::MemoryStore::new());
    let config = network.bank_config(1, "");
    let one = cbdc_bank::start_on(config.clone(), store.clone()).await.unwrap();
    network.issue(1, 100_000).await;
    network.issue(1, 50).await;
    one.shutdown().await;
    let column = if replica == ReplicaKind::Full { Column::Outcomes } else { Column::FilteredBlocks };
    store.flip_bit(column, &1_u64.to_be_bytes(), 3);
    let Err(error) = cbdc_bank::start_on(config.clone(), store.clone()).await else {
        panic!("a damaged block was served")
    };
    assert!(error.to_string().contains("block 1"), "{error}");
    store.flip_bit(column, &1_u64.to_be_bytes(), 3);
    let one = cbdc_bank::start_on(config, store).await.unwrap();
    one.shutdown().await;
    central.shutdown().await;
}

async fn a_failing_disk_stops_the_node_and_says_so(replica: ReplicaKind) {
    let network = Network::create(replica);
    let central = network.start_central().await;
    let store = Arc::new(cbdc_storage::MemoryStore::new());
    let mut one = cbdc_bank::start_on(network.bank_config(1, ""), store.clone()).await.unwrap();
    network.issue(1, 100_000).await;
    store.fail_every(1, cbdc_storage::Fault::DiskFull);
    let kind = v1::request_bank_issuance_request::Kind::Issue.into();
    // The central bank settles it; the replica cannot book it.
    let request = v1::RequestBankIssuanceRequest { kind, amount_minor: 5, request_id: random_id() };
    let _ = tokio::time::timeout(Duration::from_secs(10), network.back_office(1).request_issuance(request)).await;
    let stopped = tokio::time::timeout(Duration::from_secs(10), one.stopped()).await.unwrap();
    let message = stopped.unwrap_err().to_string();
    assert!(message.contains("books"), "{message}");
    one.shutdown().await;
    central.shutdown().await;
}

/// Households may hold 10.00.
fn limited() -> Parameters {
    let mut policy = Parameters::default();
    policy.classes[Class::HOUSEHOLD.index()].holding_limit = Some(Amount::from_minor(1_000));
    policy
}

async fn what_is_above_the_holding_limit_goes_to_the_deposit_and_comes_back_when_it_is_needed(replica: ReplicaKind) {
    let network = Network::create_with(limited(), replica);
    let central = network.start_central().await;
    let (one, two) = (network.start_bank(1, "").await, network.start_bank(2, "precheck_signatures = true\n").await);
    network.issue(1, 100_000).await;
    network.issue(2, 100_000).await;
    let (alice, bob) = (network.funded_wallet(1, 10, 800).await, network.funded_wallet(1, 11, 900).await);
    let (carol, dave) = (network.funded_wallet(2, 12, 500).await, network.funded_wallet(2, 13, 600).await);
    let (mut at_one, mut at_two) = (network.client(1, None), network.client(2, None));

    // Without a linked bank the ledger refuses, which a quote tells only of an amount above the limit; with one the
    // payment settles.
    let quote = v1::QuoteTransferRequest {
        from: alice.account.to_string(),
        to: bob.account.to_string(),
        amount_minor: 300,
        max_fee_minor: None,
    };
    let quoted = at_one.quote_transfer(alice.request(&at_one, quote.clone()).await).await.unwrap().into_inner();
    assert!(quoted.would_settle, "{quoted:?}");
    let refused = at_one.submit_transfer(submit(&alice.transfer(&bob, 300, 1), false)).await.unwrap().into_inner();
    assert_eq!(refused.outcome.unwrap().reason, "HOLDING_LIMIT");
    let link = bob.link(1, 1);
    let linked = command(&mut at_one, &link).await;
    assert!(linked.settled, "{linked:?}");
    assert_eq!(command(&mut at_one, &link).await, linked, "the same record is answered as the first time");
    let quoted = at_one.quote_transfer(alice.request(&at_one, quote).await).await.unwrap().into_inner();
    assert!(quoted.would_settle);

    // At the payee's own bank, and at another one.
    assert_eq!(pay(&mut at_one, &alice.transfer(&bob, 300, 2)).await, 0);
    until(async || deposit(&mut at_one, &bob).await == (1_100, 0)).await;
    assert!(command(&mut at_two, &carol.link(1, 1)).await.settled);
    assert_eq!(pay(&mut at_one, &bob.transfer(&carol, 700, 2)).await, 0);
    until(async || posted(&mut at_two, &carol).await == 1_000).await;
    assert_eq!(deposit(&mut at_two, &carol).await, (500, 0));
    until(async || deposit(&mut at_one, &carol).await == (200, 0)).await;

    // The linked bank is away while the waterfall settles: it books it once when it is back, and not again after that.
    drop(at_one);
    one.shutdown().await;
    assert_eq!(pay(&mut at_two, &dave.transfer(&carol, 100, 1)).await, 0);
    let reached = height(&mut at_two).await;
    for _ in 0..2 {
        let one = network.start_bank(1, "").await;
        let mut at_one = network.client(1, None);
        until(async || height(&mut at_one).await >= reached).await;
        until(async || deposit(&mut at_one, &carol).await == (300, 0)).await;
        assert_eq!(deposit(&mut at_one, &bob).await, (1_100, 0));
        drop(at_one);
        one.shutdown().await;
    }

    // Topped up from the deposit at the payer's own bank; submitted again, it has the same outcome.
    let one = network.start_bank(1, "").await;
    network.until_reachable(1, true).await;
    let mut at_one = network.client(1, None);
    let payment = bob.topped_up(&dave, 400, 3);
    assert_eq!(pay(&mut at_one, &payment).await, 100);
    until(async || (posted(&mut at_one, &bob).await, deposit(&mut at_one, &bob).await) == (0, (1_000, 0))).await;
    assert_eq!(pay(&mut at_one, &payment).await, 100);
    assert_eq!(deposit(&mut at_one, &bob).await, (1_000, 0));

    // At another bank than the payer's own: refused, everything is back; so it is where the deposit has too little,
    // which the ledger says. Who is linked elsewhere is not topped up.
    let refused = at_one.submit_transfer(submit(&carol.topped_up(&dave, 1_050, 2), false)).await.unwrap().into_inner();
    assert_eq!(refused.outcome.unwrap().reason, "HOLDING_LIMIT");
    assert_eq!(deposit(&mut at_one, &carol).await, (300, 0));
    let short = submit(&carol.topped_up(&alice, 1_301, 3), false);
    let refused = at_one.submit_transfer(short.clone()).await.unwrap().into_inner().outcome.unwrap();
    assert_eq!((refused.reason.as_str(), refused.limit, refused.amount), ("TOP_UP_MAXIMUM", 300, 301));
    assert_eq!(deposit(&mut at_one, &carol).await, (300, 0));
    let again = at_one.submit_transfer(short).await.unwrap().into_inner().outcome.unwrap();
    assert_eq!(again, refused, "the same record is answered with its first outcome");
    let elsewhere = submit(&carol.topped_up(&alice, 1_050, 4), false);
    let refused = at_two.submit_transfer(elsewhere).await.unwrap().into_inner().outcome.unwrap();
    assert_eq!((refused.reason.as_str(), refused.limit), ("INSUFFICIENT_FUNDS", 1_000));
    let elsewhere = at_two.submit_transfer(submit(&bob.topped_up(&alice, 1, 4), false)).await.unwrap_err();
    assert_eq!(refusal_of(&elsewhere).unwrap().reason, Reason::NotLinked);
    assert!(matches!(finality_of(&elsewhere), Finality::MaySettleUntil(_)), "{elsewhere:?}");
    // Out of one deposit and into another, in one payment.
    assert!(command(&mut at_one, &alice.link(1, 3)).await.settled);
    assert_eq!(pay(&mut at_one, &carol.topped_up(&alice, 1_050, 5)).await, 50);
    assert_eq!((deposit(&mut at_one, &carol).await, deposit(&mut at_one, &alice).await), ((250, 0), (1_350, 0)));
    let list = v1::ListPaymentsRequest { account: alice.account.to_string(), page_size: 1, page_token: String::new() };
    let newest =
        at_one.list_payments(alice.request(&at_one, list).await).await.unwrap().into_inner().payments.remove(0);
    assert_eq!((newest.amount_minor, newest.reverse_waterfall_minor), (1_050, 50));
    let causes: Vec<_> = newest.changes.iter().map(|change| change.cause.as_str()).collect();
    assert_eq!((causes, newest.waterfall_minor), (vec!["received", "waterfall"], 550));
    assert_eq!(newest.balance_minor, posted(&mut at_one, &alice).await);
    until(async || height(&mut at_two).await >= height(&mut at_one).await).await;
    for (client, wallets) in [(&mut at_one, [&alice, &bob]), (&mut at_two, [&carol, &dave])] {
        for wallet in wallets {
            statement(client, wallet).await;
        }
    }

    // I3: what was credited is in wallets and deposits, nothing is on its way.
    until(async || height(&mut at_two).await >= height(&mut at_one).await).await;
    let mut held = 0;
    for wallet in [&alice, &bob] {
        held += posted(&mut at_one, wallet).await;
    }
    for wallet in [&carol, &dave] {
        held += posted(&mut at_two, wallet).await;
    }
    for bank in [1, 2] {
        let treasury = network.back_office(bank).get_treasury(v1::GetTreasuryRequest {}).await.unwrap().into_inner();
        assert_eq!(treasury.in_transit_minor, 0);
        held += treasury.deposits_minor;
    }
    assert_eq!(held, 2 * (800 + 900 + 500 + 600));
    drop((at_one, at_two));
    tokio::join!(one.shutdown(), two.shutdown());
    central.shutdown().await;
}

/// A wallet's whole history, by small pages. Its changes must lead from line to line, and from nothing to the balance.
async fn statement(client: &mut BankClient<Channel>, wallet: &Wallet) -> Vec<v1::PaymentEntry> {
    let (mut lines, mut page_token) = (Vec::<v1::PaymentEntry>::new(), String::new());
    loop {
        let list = v1::ListPaymentsRequest { account: wallet.account.to_string(), page_size: 2, page_token };
        let page = client.list_payments(wallet.request(client, list).await).await.unwrap().into_inner();
        lines.extend(page.payments);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let mut balance = posted(client, wallet).await;
    for line in &lines {
        assert_eq!(line.balance_minor, balance, "{line:?}");
        let sum = |minor: fn(&v1::BalanceChange) -> u64| line.changes.iter().map(minor).sum::<u64>();
        balance = balance + sum(|change| change.debit_minor) - sum(|change| change.credit_minor);
    }
    assert_eq!(balance, 0, "{lines:?}");
    lines
}

async fn a_hold_is_captured_once_by_the_payees_bank_and_the_rest_returns(replica: ReplicaKind) {
    let network = Network::create(replica);
    let central = network.start_central().await;
    let (one, two) = (network.start_bank(1, "").await, network.start_bank(2, "").await);
    network.issue(1, 100_000).await;
    network.issue(2, 100_000).await;
    let (alice, shop) = (network.funded_wallet(1, 10, 800).await, network.funded_wallet(2, 11, 10).await);
    let (mut at_one, mut at_two) = (network.client(1, None), network.client(2, None));
    let place_hold = |sequence: u64, minor: u64| {
        let (maximum, expires_at) = (Amount::from_minor(minor), Timestamp(now_ms() + 3_600_000));
        let (from, to, max_fee, reference) = (alice.account, shop.account, Amount::ZERO, [0; 16]);
        alice.command(sequence, |head| PlaceHold { head, from, to, maximum, max_fee, expires_at, reference })
    };
    let first = command(&mut at_one, &place_hold(1, 500)).await;
    let second = command(&mut at_one, &place_hold(2, 200)).await;
    assert_eq!((first.settled, first.amount, second.amount), (true, 1, 2), "{first:?} {second:?}");
    let wallet = details(&mut at_one, &alice).await;
    assert_eq!((wallet.posted_minor, wallet.available_minor, wallet.held_minor), (800, 100, 700));
    until(async || height(&mut at_two).await >= second.height).await;
    let list = v1::ListHoldsRequest { account: shop.account.to_string(), page_size: 1, page_token: String::new() };
    let page = at_two.list_holds(shop.request(&at_two, list.clone()).await).await.unwrap().into_inner();
    let rest = v1::ListHoldsRequest { page_token: page.next_page_token, ..list };
    let rest = at_two.list_holds(shop.request(&at_two, rest).await).await.unwrap().into_inner();
    assert_eq!([&page.holds[0], &rest.holds[0]].map(|hold| (hold.hold, hold.maximum_minor)), [(1, 500), (2, 200)]);

    // Only the payee's bank captures, only its back office, once, and no more than was held.
    let capture = |amount_minor| v1::CaptureHoldRequest { hold: 1, amount_minor };
    let refused = at_two.capture_hold(capture(350)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    // A full replica knows it by itself; another bank's request is for the ledger to refuse.
    let refused = network.back_office(1).capture_hold(capture(350)).await;
    let reason = refused.map(|outcome| outcome.into_inner().reason);
    let reason = reason.unwrap_or_else(|status| refusal_of(&status).unwrap().reason.name().to_owned());
    assert_eq!(reason, "UNKNOWN_HOLD");
    let mut office = network.back_office(2);
    let outcomes = [501, 350, 350].map(capture);
    let (mut reasons, mut captured_at) = (Vec::new(), (0, 0));
    for request in outcomes {
        let outcome = office.capture_hold(request).await.unwrap().into_inner();
        if outcome.settled {
            captured_at = (outcome.height, outcome.index);
        }
        reasons.push(outcome.reason);
    }
    assert_eq!(reasons, ["HOLD_EXCEEDED", "SETTLED", "UNKNOWN_HOLD"]);
    // A capture names the hold alone, yet its receipt is for payer and payee, and for no other customer.
    let bystander = network.funded_wallet(2, 12, 0).await;
    let captured = v1::get_bank_receipt_request::BlockPosition { height: captured_at.0, index: captured_at.1 };
    for (client, holder, is_party) in [(&at_one, &alice, true), (&at_two, &shop, true), (&at_two, &bystander, false)] {
        let command = Some(v1::get_bank_receipt_request::Command::Position(captured));
        let request = v1::GetBankReceiptRequest { command, command_hash: Bytes::new() };
        until(async || {
            client.clone().get_status(v1::GetStatusRequest {}).await.unwrap().into_inner().height >= captured.height
        })
        .await;
        let answer = client.clone().get_receipt(holder.request(client, request).await).await;
        assert_eq!(answer.is_ok(), is_party, "{answer:?}");
    }
    assert!(office.void_hold(v1::VoidHoldRequest { hold: 2 }).await.unwrap().into_inner().settled);
    until(async || posted(&mut at_two, &shop).await == 360).await;
    until(async || {
        let wallet = details(&mut at_one, &alice).await;
        (wallet.available_minor, wallet.held_minor) == (450, 0)
    })
    .await;
    // The captures are in both histories, although their record names no wallet.
    let causes = |lines: &[v1::PaymentEntry]| -> Vec<(String, String, u64)> {
        lines
            .iter()
            .flat_map(|line| &line.changes)
            .map(|it| (it.cause.clone(), it.counterparty.clone(), it.number))
            .collect()
    };
    let of = |cause: &str, other: AccountId, number| (cause.to_owned(), other.to_string(), number);
    let treasury = |bank| AccountId::treasury(BankId(bank));
    let paid = causes(&statement(&mut at_one, &alice).await);
    assert_eq!(paid, [of("captured", shop.account, 1), of("funded", treasury(1), 0)]);
    let received = causes(&statement(&mut at_two, &shop).await);
    assert_eq!(received, [of("capture-received", alice.account, 1), of("funded", treasury(2), 0)]);
    drop((at_one, at_two, office));
    tokio::join!(one.shutdown(), two.shutdown());
    central.shutdown().await;
}

async fn a_bank_states_what_its_customers_have_on_deposit(replica: ReplicaKind) {
    let network = Network::create(replica);
    let central = network.start_central().await;
    let one = network.start_bank(1, "").await;
    network.issue(1, 100_000).await;
    network.funded_wallet(1, 10, 800).await;
    let request = v1::ReportDepositsRequest {};
    let refused = network.client(1, None).report_deposits(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let reported = network.back_office(1).report_deposits(request).await.unwrap().into_inner();
    assert_eq!((reported.outcome.unwrap().settled, reported.deposits_minor), (true, 800));
    one.shutdown().await;
    central.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_with_a_partial_replica_comes_back_after_long_and_is_refused_what_needs_all() {
    let mut network = Network::create(ReplicaKind::Partial);
    let (central, one, alice, bob) = network.start_and_leave_bank_two("checkpoint_every_blocks = 10\n").await;
    // More blocks than the central bank keeps ready.
    let mut at_one = network.client(1, None);
    for sequence in 1..=300 {
        assert_eq!(pay(&mut at_one, &alice.transfer(&bob, 1, sequence)).await, 0);
    }
    let reached = height(&mut at_one).await;
    let two = network.start_bank(2, "").await;
    let mut at_two = network.client(2, None);
    until(async || height(&mut at_two).await >= reached).await;
    assert_eq!(posted(&mut at_two, &bob).await, 310);
    let list = v1::ListPaymentsRequest { account: bob.account.to_string(), page_size: 500, page_token: String::new() };
    let received = at_two.list_payments(bob.request(&at_two, list).await).await.unwrap().into_inner().payments;
    assert_eq!(received.iter().filter(|entry| entry.kind == "transfer").count(), 300);

    // It serves no whole blocks, and the folder keeps its kind.
    let chain = |bank: u16| {
        let trust = ServerTrust::NodeKey(network.identity(Role::Bank, bank).public_key());
        let address = format!("127.0.0.1:{}", network.bank_ports[usize::from(bank) - 1]);
        let identity = network.identity(Role::Bank, 1);
        v1::chain_client::ChainClient::new(connect(&address, Some(&identity), &trust).unwrap())
    };
    let refused = chain(2).get_block(v1::GetBlockRequest { height: 1 }).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented, "{refused}");
    let header = chain(2).get_header(v1::GetHeaderRequest { height: Some(1) }).await.unwrap().into_inner();
    assert_eq!(header, chain(1).get_header(v1::GetHeaderRequest { height: Some(1) }).await.unwrap().into_inner());
    drop((at_one, at_two));
    tokio::join!(one.shutdown(), two.shutdown());
    let started =
        |config: cbdc_bank::Config| async { cbdc_bank::start(config).await.err().map(|error| error.to_string()) };
    let error = started(network.bank_config(2, "verify_blocks = true\n")).await.unwrap();
    assert!(error.contains("verify_blocks"), "{error}");
    network.replica = ReplicaKind::Full;
    for bank in [1, 2] {
        let error = started(network.bank_config(bank, "")).await.unwrap();
        assert!(error.contains("replica"), "{error}");
    }
    central.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filtered_blocks_that_come_together_are_followed_across_a_new_key_of_the_central_bank() {
    let network = Network::create(ReplicaKind::Partial);
    let (mut central, one, alice, bob) = network.start_and_leave_bank_two("").await;
    let mut at_one = network.client(1, None);
    for sequence in 1..=20 {
        assert_eq!(pay(&mut at_one, &alice.transfer(&bob, 1, sequence)).await, 0);
    }

    let new_seed = [77; 32];
    let (role, id) = (Role::CentralBank, MemberId(1));
    let node_key = Some(network.identity(role, 1).public_key());
    let signing_key = SigningKey::from_seed(new_seed).public_key();
    let actions = vec![GovernanceAction::ReplaceKeys { role, id, signing_key, node_key }];
    let (effective_at, expires_at) = (Timestamp(now_ms()), Timestamp(now_ms() + 60_000));
    let head = Head { flags: 0, key_version: 0, sequence: 1, valid_until: expires_at };
    let proposal = GovernanceProposal { head, member: MemberId(1), effective_at, expires_at, actions };
    let command = Command::from(proposal.sign(network.id, &SigningKey::from_seed(seed(Role::Committee, 1))));
    let request = v1::SubmitCommandRequest { command: command.to_bytes().into() };
    let outcome = network.settlement(Role::Committee).submit_command(request).await.unwrap();
    assert!(outcome.into_inner().settled);
    // It stops instead of signing with a key that is no longer in force.
    let stopped = central.stopped().await.unwrap_err().to_string();
    assert!(stopped.contains("replaced the key"), "{stopped}");
    central.shutdown().await;
    let file = network.file(role, 1, "signing.key");
    std::fs::remove_file(&file).unwrap();
    write_signing_key(&file, &new_seed).unwrap();
    let central = network.start_central_again().await;
    network.until_reachable(1, true).await;
    for sequence in 21..=40 {
        assert_eq!(pay(&mut at_one, &alice.transfer(&bob, 1, sequence)).await, 0);
    }

    let reached = height(&mut at_one).await;
    let two = network.start_bank(2, "").await;
    let mut at_two = network.client(2, None);
    until(async || height(&mut at_two).await >= reached).await;
    assert_eq!(posted(&mut at_two, &bob).await, 50);
    drop((at_one, at_two));
    tokio::join!(one.shutdown(), two.shutdown());
    central.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_changes_bank_and_no_bank_is_linked_without_its_consent() {
    let network = Network::create(ReplicaKind::Partial);
    let central = network.start_central().await;
    let (one, two) = (network.start_bank(1, "").await, network.start_bank(2, "precheck_signatures = true\n").await);
    network.issue(1, 100_000).await;
    network.issue(2, 100_000).await;
    let (alice, bob) = (network.funded_wallet(1, 10, 800).await, network.funded_wallet(2, 11, 900).await);
    let (mut at_one, mut at_two) = (network.client(1, None), network.client(2, None));

    // A bank consents for its own customers and for those who move to it; a link of another bank's customer needs its
    // back office.
    let ask = |to: To| v1::ConsentRequest { account: alice.account.to_string(), to: to.into() };
    assert!(at_one.consent(ask(To::LinkBank)).await.is_ok());
    let stranger = at_two.consent(ask(To::LinkBank)).await.unwrap_err();
    assert_eq!(refusal_of(&stranger).unwrap().reason, Reason::NotAuthorised, "{stranger:?}");
    assert!(network.back_office(2).consent(ask(To::LinkBank)).await.is_ok());
    assert_eq!(at_one.consent(ask(To::MoveWallet)).await.unwrap_err().code(), Code::InvalidArgument);
    let mut forged = alice.link(2, 1);
    if let Command::LinkBank(link) = &mut forged {
        let mut record = link.record;
        record.consent.as_mut().unwrap().signature.0[3] ^= 1;
        forged = record.sign(alice.network, &alice.key).into();
    }
    let request = v1::SubmitHolderCommandRequest { command: forged.to_bytes().into() };
    let refused = at_one.submit_holder_command(request).await.unwrap_err();
    assert_eq!(refusal_of(&refused).unwrap().reason, Reason::BadSignature, "{refused:?}");

    // The new bank submits the move; both banks know where the wallet is.
    let given = at_two.consent(ask(To::MoveWallet)).await.unwrap().into_inner();
    let consent = BankConsent {
        bank_key_version: given.bank_key_version,
        valid_until: Timestamp(given.valid_until_ms),
        signature: Signature(given.signature.to_vec().try_into().unwrap()),
    };
    let (account, bank) = (alice.account, BankId(2));
    let moving = alice.command(1, |head| MoveWallet { head, account, bank, consent });
    let moved = command(&mut at_two, &moving).await;
    assert!(moved.settled, "{moved:?}");
    let (network_id, key) = (network.id, SigningKey::from_seed([10; 32]));
    let alice_there = Wallet { network: network_id, key, account: AccountId::from_u64(moved.amount).unwrap() };
    assert_eq!(alice_there.account.bank, BankId(2));
    // A bank's own ledger follows shortly after an answer.
    until(async || alice_there.open_session(at_two.clone()).await.is_ok()).await;
    assert_eq!(posted(&mut at_two, &alice_there).await, 800);
    until(async || {
        let old = details(&mut at_one, &alice).await;
        !old.open && old.moved_to == alice_there.account.to_string()
    })
    .await;
    assert_eq!(pay(&mut at_two, &alice_there.transfer(&bob, 50, 2)).await, 0);
    until(async || posted(&mut at_two, &bob).await == 950).await;
    let lines = statement(&mut at_two, &alice_there).await;
    let kinds: Vec<_> = lines.iter().map(|line| (line.kind.as_str(), line.balance_minor)).collect();
    assert_eq!(kinds, [("transfer", 750), ("moved-in", 800)]);
    let later = lines[0].clone();
    // The key goes on reading at the old bank: what was up to the move, and nothing of what came after it.
    let alice_here = Wallet { network: network.id, key: SigningKey::from_seed([10; 32]), account };
    let lines = statement(&mut at_one, &alice_here).await;
    let kinds: Vec<_> = lines.iter().map(|line| (line.kind.as_str(), line.balance_minor)).collect();
    assert_eq!(kinds, [("move-wallet", 0), ("fund", 800)]);
    let later = v1::get_bank_receipt_request::BlockPosition { height: later.height, index: later.index };
    let command = Some(v1::get_bank_receipt_request::Command::Position(later));
    let request = v1::GetBankReceiptRequest { command, command_hash: Default::default() };
    let refused = at_one.get_receipt(alice_here.request(&at_one, request).await).await.unwrap_err();
    assert_eq!(refusal_of(&refused).unwrap().reason, Reason::NotAuthorised, "{refused:?}");
    // Nor does anything move there.
    let left = deposit(&mut at_one, &alice_here).await;
    let (account, request_id) = (account.to_string(), vec![98; 16].into());
    let fund = v1::FundRequest { account: account.clone(), amount_minor: 1, request_id };
    let refused = at_one.fund(alice_here.request(&at_one, fund).await).await.unwrap_err();
    assert_eq!(refusal_of(&refused).unwrap().reason, Reason::UnknownAccount, "{refused:?}");
    let credit = v1::CreditDepositRequest { account, amount_minor: 1, request_id: vec![97; 16].into() };
    let refused = network.back_office(1).credit_deposit(credit).await.unwrap_err();
    assert_eq!(refusal_of(&refused).unwrap().reason, Reason::UnknownAccount, "{refused:?}");
    assert_eq!(deposit(&mut at_one, &alice_here).await, left);

    // With a key that was replaced after the move neither changes: a partial replica has not seen it, and the new bank
    // has.
    let (holder, new_key) =
        (HolderId(alice.key.public_key().0[..16].try_into().unwrap()), SigningKey::from_seed([88; 32]));
    let (account, class, version, key) = (alice_there.account, Class::HOUSEHOLD, 0, new_key.public_key());
    let (purpose, valid_until) = (CertifiedFor::ReplaceKey { account, version }, Timestamp(u64::MAX));
    let certified = Statement { purpose, holder, class, key, valid_until };
    let certificate = certified.certify(network.id, MemberId(1), 0, &SigningKey::from_seed(seed(Role::Registrar, 1)));
    let agreement = certified.agree(network.id, &certificate, &new_key);
    // A number above those that bank 2 has used.
    let head = Head { flags: 0, key_version: 0, sequence: 1_000, valid_until: Timestamp(now_ms() + 60_000) };
    let replacement = ReplaceKey { head, account, class, version, key, certificate, agreement };
    let replacement = Command::from(replacement.sign(network.id, &SigningKey::from_seed(seed(Role::Bank, 2))));
    let trust = ServerTrust::NodeKey(network.identity(Role::CentralBank, 1).public_key());
    let address = format!("127.0.0.1:{}", network.central_port);
    let channel = connect(&address, Some(&network.identity(Role::Bank, 2)), &trust).unwrap();
    let request = v1::SubmitCommandRequest { command: replacement.to_bytes().into() };
    let replaced = SettlementClient::new(channel).submit_command(request).await.unwrap().into_inner();
    assert!(replaced.settled, "{replaced:?}");
    until(async || alice_there.open_session(at_two.clone()).await.is_err()).await;
    until(async || height(&mut at_one).await >= replaced.height).await;
    let seen: Vec<_> = statement(&mut at_one, &alice_here).await.iter().map(|line| line.balance_minor).collect();
    assert_eq!(seen, [0, 800]);
    drop((at_one, at_two));
    tokio::join!(one.shutdown(), two.shutdown());
    central.shutdown().await;
}
