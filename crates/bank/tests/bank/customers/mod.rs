//! Three customers of a bank, of whom one has paid another: what tests of the bank's calls are about.

// Each test file is a program of its own and uses a part of this.
#![allow(dead_code)]

use cbdc_client::bank_office::IssuanceAnswer;
use cbdc_client::{
    AccountId, Amount, BankId, BlockPosition, Class, HolderId, IssuanceKind, MemberId, NodeName, Role, SigningKey,
    Timestamp, Wallet, random_id,
};
use cbdc_devnet::{InProcess, Network, NetworkSpec, Ports};
use cbdc_ledger::Signed;
use cbdc_ledger::command::{DesignateWallet, Head, Payment, Record, SessionStatement};
use cbdc_proto::v1;
use cbdc_proto::v1::bank_client::BankClient;
use tonic::Status;
use tonic::transport::Channel;

pub const BANK: BankId = BankId(1);

/// Alice and Bob at bank 1, of whom Alice has paid Carol, and what the calls are about.
pub struct Running {
    pub network: Network,
    pub nodes: InProcess,
    pub _folder: tempfile::TempDir,
    pub alice: Holder,
    pub bob: Holder,
    pub carol: Holder,
    /// Alice's payment to Carol.
    pub payment: Signed<Payment>,
    pub paid_at: BlockPosition,
    /// The request that opened Alice's wallet.
    pub opening: v1::OpenWalletRequest,
    /// A defund of Alice's that has settled.
    pub defund: Signed<Payment>,
    pub designation: Signed<DesignateWallet>,
}

pub struct Holder {
    pub seed: u8,
    pub account: AccountId,
}

impl Holder {
    pub fn key(&self) -> SigningKey {
        SigningKey::from_seed([self.seed; 32])
    }

    pub fn id(&self) -> HolderId {
        HolderId([self.seed; 16])
    }
}

pub fn now() -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(now.as_millis() as u64)
}

pub fn head(sequence: u64) -> Head {
    Head { flags: 0, key_version: 0, sequence, valid_until: now().plus_ms(60_000) }
}

impl Running {
    pub async fn start(full_replicas: u16) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let spec = NetworkSpec {
            ports: Ports::Free,
            banks: 2,
            full_replicas,
            automatic_operator: true,
            ..NetworkSpec::default()
        };
        let network = Network::create(&folder.path().join("net"), &spec).unwrap();
        let nodes = InProcess::start(&network).await.unwrap();
        let office = network.bank_office(BANK).unwrap();
        let issued =
            office.request_issuance(IssuanceKind::Issue, Amount::from_minor(100_000), random_id()).await.unwrap();
        assert!(matches!(issued, IssuanceAnswer::Ordered(_)), "{issued:?}");

        let mut holders = Vec::new();
        for seed in [10, 11, 12] {
            let wallet = open(&network, seed).await;
            office.credit_deposit(wallet.account(), Amount::from_minor(2_000), random_id()).await.unwrap();
            wallet.fund(Amount::from_minor(1_000), random_id()).await.unwrap().settled().unwrap();
            holders.push((Holder { seed, account: wallet.account() }, wallet));
        }
        let [(alice, wallet), (bob, _), (carol, _)] = holders.try_into().ok().unwrap();
        let payment = wallet.sign_transfer(carol.account, Amount::from_minor(300), [0; 16]).await.unwrap();
        let paid_at = wallet.submit(&payment).await.unwrap().settled().unwrap();
        let defund = wallet.sign_defund(Amount::from_minor(100)).await.unwrap();
        wallet.submit(&defund).await.unwrap().settled().unwrap();
        let opening = opening(&network, alice.seed, alice.id());
        let designation = DesignateWallet { head: head(3), account: alice.account };
        let designation = designation.sign(network.anchor().network(), &alice.key());
        Running { network, nodes, _folder: folder, alice, bob, carol, payment, paid_at, opening, defund, designation }
    }

    pub fn client(&self, member: Option<(Role, u16)>) -> BankClient<Channel> {
        let node = NodeName::Bank(BANK);
        let connection = match member {
            Some((role, id)) => self.network.connect_member(role, MemberId(id), node),
            None => self.network.connect_customer(BANK),
        };
        BankClient::new(connection.unwrap().channel())
    }

    /// What a holder signs to open a session with `bank`, over this bank's challenge.
    pub async fn statement(&self, holder: &Holder, bank: BankId, key_version: u32) -> SessionStatement {
        let given = self.client(None).begin_session(v1::BeginSessionRequest {}).await.unwrap().into_inner();
        SessionStatement {
            bank,
            key_version,
            account: holder.account,
            expires_at: Timestamp(given.expires_at_ms),
            challenge: given.challenge.to_vec().try_into().unwrap(),
        }
    }

    pub async fn open_session(&self, statement: SessionStatement, key: &SigningKey) -> Result<String, Status> {
        let statement = statement.sign(self.network.anchor().network(), key).to_bytes().to_vec().into();
        Ok(self.client(None).open_session(v1::OpenSessionRequest { statement }).await?.into_inner().token)
    }

    pub async fn token(&self, holder: &Holder) -> String {
        self.open_session(self.statement(holder, BANK, 0).await, &holder.key()).await.unwrap()
    }

    pub async fn stop(self) {
        self.nodes.stop().await;
    }
}

pub async fn open(network: &Network, seed: u8) -> Wallet {
    let (key, holder) = (SigningKey::from_seed([seed; 32]), HolderId([seed; 16]));
    let registrar = network.first_registrar().unwrap();
    let registration = registrar.register(BANK, holder, Class::HOUSEHOLD, key.public_key());
    let connection = network.connect_customer(BANK).unwrap();
    Wallet::open(connection, network.anchor().clone(), key, &registration).await.unwrap()
}

pub fn opening(network: &Network, seed: u8, holder: HolderId) -> v1::OpenWalletRequest {
    let key = SigningKey::from_seed([seed; 32]);
    let registrar = network.first_registrar().unwrap();
    let registration = registrar.register(BANK, holder, Class::HOUSEHOLD, key.public_key());
    let agreement = registration.statement.agree(registration.network, &registration.certificate, &key);
    v1::OpenWalletRequest {
        holder: holder.0.to_vec().into(),
        class: "household".to_owned(),
        public_key: key.public_key().0.to_vec().into(),
        registrar: u32::from(registration.certificate.registrar.0),
        registrar_key_version: 0,
        registrar_signature: registration.certificate.signature.0.to_vec().into(),
        certificate_valid_until_ms: registration.certificate.valid_until.0,
        agreement: agreement.0.to_vec().into(),
    }
}
