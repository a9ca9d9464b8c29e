//! A network of processes with funded wallets, and the memory of its hostile bank.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cbdc_client::bank_office::IssuanceAnswer;
use cbdc_client::{NodeName, SubmissionStatus, random_id};
use cbdc_devnet::{Network, NetworkSpec, Ports, Processes};
use cbdc_ledger::command::{Head, IssuanceKind, Payment, PaymentKind, Record};
use cbdc_ledger::member::Role;
use cbdc_ledger::{AccountId, Amount, BankId, Class, HolderId, MemberId, Signed, SigningKey, Timestamp};
use cbdc_proto::transport::{NodeIdentity, connect};
use cbdc_proto::v1;
use cbdc_proto::v1::bank_client::BankClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tonic::transport::Channel;

use crate::honest::begin_anew;

pub const MIB: u64 = 1024 * 1024;
/// Wallets of each bank. The last of bank 1 are the hostile customer's: with money, and without.
pub const WALLETS: u64 = 200;
const OPENING_MINOR: u64 = 1_000_000;
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The network, running.
pub struct Hostile {
    pub network: Network,
    processes: Processes,
    _folder: tempfile::TempDir,
}

/// A holder's wallet.
pub struct Wallet {
    pub account: AccountId,
    pub key: SigningKey,
}

pub fn now() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64)
}

pub fn wallet(bank: u16, number: u64) -> Wallet {
    let mut seed = [bank as u8; 32];
    seed[..8].copy_from_slice(&number.to_be_bytes());
    Wallet { account: AccountId::new(BankId(bank), number as u32), key: SigningKey::from_seed(seed) }
}

/// The hostile customer's wallet.
pub fn hostile() -> Wallet {
    wallet(1, WALLETS)
}

impl Hostile {
    pub async fn start() -> Hostile {
        begin_anew();
        let folder = tempfile::tempdir().unwrap();
        let spec = NetworkSpec { ports: Ports::Free, banks: 2, ..NetworkSpec::default() }.without_limits();
        let network = Network::create(&folder.path().join("net"), &spec).unwrap();
        let processes = Processes::start_from(&network, Path::new(env!("CARGO_BIN_EXE_cbdc"))).await.unwrap();
        let running = Hostile { network, processes, _folder: folder };
        futures::future::join_all([1, 2].map(|bank| running.fund_wallets(bank))).await;
        running
    }

    /// The session of the holder of wallet 1 with bank 1, as the metadata `authorization` has it.
    pub async fn authorization(&self) -> String {
        let Wallet { account, key } = wallet(1, 1);
        let connection = self.network.connect_customer(BankId(1)).unwrap();
        let holder = cbdc_client::Wallet::new(connection, self.network.anchor().clone(), key, account);
        holder.authorization().await.unwrap().to_str().unwrap().to_owned()
    }

    pub async fn stop(self) {
        self.processes.stop().await.unwrap();
    }

    /// Opens the wallets of a bank, one after another, and gives money to all but the last: through the bank, since
    /// one whose key signs elsewhere rightly doubts its books and serves no deposits.
    async fn fund_wallets(&self, bank: u16) {
        let (registrar, anchor) = (self.network.first_registrar().unwrap(), self.network.anchor());
        let office = self.network.bank_office(BankId(bank)).unwrap();
        let all = Amount::from_minor(WALLETS * OPENING_MINOR);
        let issued = office.request_issuance(IssuanceKind::Issue, all, random_id()).await.unwrap();
        assert!(matches!(issued, IssuanceAnswer::Ordered(SubmissionStatus::Settled { .. })), "{issued:?}");
        let connection = self.network.connect_customer(BankId(bank)).unwrap();
        let mut opened = Vec::new();
        for number in 1..=WALLETS + 1 {
            let Wallet { account, key } = wallet(bank, number);
            let mut holder = HolderId([bank as u8; 16]);
            holder.0[..8].copy_from_slice(&number.to_be_bytes());
            let registration = registrar.register(BankId(bank), holder, Class::HOUSEHOLD, key.public_key());
            let wallet = cbdc_client::Wallet::open(connection.clone(), anchor.clone(), key, &registration);
            let wallet = wallet.await.unwrap();
            assert_eq!(wallet.account(), account);
            opened.push(wallet);
        }
        let amount = Amount::from_minor(OPENING_MINOR);
        let fund = async |wallet: &cbdc_client::Wallet| {
            office.credit_deposit(wallet.account(), amount, random_id()).await.unwrap();
            wallet.fund(amount, random_id()).await.unwrap().settled().unwrap();
        };
        for some in opened[..WALLETS as usize].chunks(20) {
            futures::future::join_all(some.iter().map(fund)).await;
        }
    }

    /// A payment of one minor unit.
    pub fn payment(&self, from: &Wallet, to: AccountId, sequence: u64, valid_until: Timestamp) -> Signed<Payment> {
        let head = Head { flags: 0, key_version: 0, sequence, valid_until };
        let (kind, amount, max_fee) = (PaymentKind::Transfer, Amount::from_minor(1), Amount::ZERO);
        Payment { kind, head, from: from.account, to, amount, max_fee, reference: [0; 16] }
            .sign(self.network.anchor().network(), &from.key)
    }

    pub fn address(&self, node: NodeName) -> String {
        self.network.address(node).unwrap().to_string()
    }

    fn identity(&self, bank: u16) -> NodeIdentity {
        self.network.identity(Role::Bank, MemberId(bank)).unwrap()
    }

    /// A new connection to the central bank, as a bank.
    pub fn to_central_bank(&self, bank: u16) -> Channel {
        let node = self.network.central_bank();
        let trust = self.network.anchor().trust(node.role(), node.id()).unwrap();
        connect(&self.address(node), Some(&self.identity(bank)), &trust).unwrap()
    }

    /// A new connection to a bank, as a customer.
    pub fn to_bank(&self, bank: u16) -> Channel {
        let trust = self.network.anchor().trust(Role::Bank, MemberId(bank)).unwrap();
        connect(&self.address(NodeName::Bank(BankId(bank))), None, &trust).unwrap()
    }

    /// A new connection to a bank, as a customer at another address than the honest ones'.
    pub async fn to_bank_as_stranger(&self, bank: u16) -> Channel {
        self.to_bank_from(bank, 2).await
    }

    /// A new connection to a bank, as a customer at 127.0.0.`last`.
    pub async fn to_bank_from(&self, bank: u16, last: u8) -> Channel {
        self.to_bank_through(bank, last, Arc::default()).await
    }

    /// The same, whose answers are read no more from some moment on.
    pub async fn to_bank_unread(&self, bank: u16, is_unread: Arc<AtomicBool>) -> Channel {
        self.to_bank_through(bank, 2, is_unread).await
    }

    async fn to_bank_through(&self, bank: u16, last: u8, is_unread: Arc<AtomicBool>) -> Channel {
        let trust = self.network.anchor().trust(Role::Bank, MemberId(bank)).unwrap();
        let near = forward(self.address(NodeName::Bank(BankId(bank))), last, is_unread).await;
        connect(&near.to_string(), None, &trust).unwrap()
    }

    /// How long a new customer of bank 1, at an address of its own, waits for the first answer.
    pub async fn new_customer(&self) -> Duration {
        let began = Instant::now();
        while began.elapsed() < WAIT_MAX {
            let channel = self.to_bank_through(1, 3, Arc::default()).await;
            if BankClient::new(channel).get_status(v1::GetStatusRequest {}).await.is_ok() {
                break;
            }
        }
        began.elapsed()
    }

    /// How long bank 2, restarted, takes to reach the central bank, its start included.
    pub async fn restart_bank_2(&mut self) -> Duration {
        let bank = NodeName::Bank(BankId(2));
        self.processes.stop_node(bank).await.unwrap();
        let began = Instant::now();
        self.processes.restart(bank).await.unwrap();
        let mut client = BankClient::new(self.to_bank(2));
        while began.elapsed() < WAIT_MAX {
            let status = client.get_status(v1::GetStatusRequest {}).await;
            if status.is_ok_and(|status| status.into_inner().central_bank_reachable) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        began.elapsed()
    }

    /// The memory of bank 1 now, bytes.
    pub fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most since [`Hostile::forget_most`].
    pub fn most_resident(&self) -> u64 {
        self.status("VmHWM:")
    }

    pub fn forget_most(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").unwrap();
    }

    fn pid(&self) -> u32 {
        self.processes.pid(NodeName::Bank(BankId(1))).unwrap()
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

/// Forwards connections to a node from 127.0.0.`last`, and its answers until they are to be unread. Gives where to
/// connect.
async fn forward(node: String, last: u8, is_unread: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let node: SocketAddr = node.parse().unwrap();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpSocket::new_v4().unwrap();
            far.bind(([127, 0, 0, last], 0).into()).unwrap();
            let Ok(far) = far.connect(node).await else { return };
            let (mut near_read, mut near_write) = near.into_split();
            let (mut far_read, mut far_write) = far.into_split();
            let is_unread = is_unread.clone();
            tokio::spawn(async move { drop(tokio::io::copy(&mut near_read, &mut far_write).await) });
            tokio::spawn(async move {
                let mut bytes = vec![0; 65_536];
                loop {
                    if is_unread.load(Ordering::Relaxed) {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        continue;
                    }
                    match far_read.read(&mut bytes).await {
                        Ok(count @ 1..) if near_write.write_all(&bytes[..count]).await.is_ok() => {}
                        _ => return,
                    }
                }
            });
        }
    });
    address
}
