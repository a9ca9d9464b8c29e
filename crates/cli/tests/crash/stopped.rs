//! A central bank that is stopped (SIGSTOP) in the middle of a payment: no answer of the bank is contradicted by the
//! chain.
//!
//! In each try one payment, valid for a second, is submitted with leave to accept it, and the central bank is stopped a
//! few milliseconds later, before or after it has taken the payment in. While it stands still the same record is
//! submitted again, until valid-until has long passed; then the central bank goes on. Every answer is kept, and
//! compared with what the chain has in the end.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cbdc_client::{AccountId, Amount, BankId, NetworkFolder, SigningKey, Timestamp, Wallet, v1};
use cbdc_devnet::{Network, NetworkSpec, Ports, Processes};
use cbdc_ledger::command::{Head, Payment, PaymentKind, Record, Signed};
use cbdc_proto::convert::payment_to_message;
use cbdc_proto::status::{Finality, finality_of};
use cbdc_proto::v1::bank_client::BankClient;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::holders;
use crate::kills::{Dice, rounds_and_seed};

const VALIDITY_MS: u64 = 1_000;
/// How long the central bank hangs: longer than the payment is valid and the bank waits for its answer.
const STOPPED_FOR: Duration = Duration::from_millis(2_600);
/// The time within which a record must have a final answer once the central bank continues.
const FINAL_WITHIN: Duration = Duration::from_secs(30);

/// Sends a signal to a process without delay: the shell that sends it runs already.
pub struct Signal(Child);

impl Signal {
    pub fn ready(signal: &str, pid: u32) -> Signal {
        let script = format!("read now; kill -{signal} {pid}");
        let shell = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap();
        Signal(shell)
    }

    pub fn send(mut self) {
        self.0.stdin.take().unwrap().write_all(b"now\n").unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

/// What a holder was told of a record.
#[derive(Clone, PartialEq, Debug)]
pub enum Told {
    Settled,
    /// Refused in the chain, or never to settle.
    Refused(String),
    /// This copy was not ordered.
    NotYet(String),
    Accepted,
    Unknown,
}

fn told(answer: Result<tonic::Response<v1::SubmitTransferResponse>, Status>) -> Told {
    match answer {
        Ok(answer) => match answer.into_inner().outcome {
            Some(outcome) if outcome.settled => Told::Settled,
            Some(outcome) => Told::Refused(outcome.reason),
            None => Told::Accepted,
        },
        Err(status) if status.code() == Code::Unavailable => Told::Unknown,
        Err(status) => match finality_of(&status) {
            Finality::Final => Told::Refused(format!("{status:?}")),
            _ => Told::NotYet(format!("{status:?}")),
        },
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// A holder who signs and submits payments.
pub struct Payer<'a> {
    pub folder: &'a NetworkFolder,
    pub client: BankClient<Channel>,
    pub wallet: &'a Wallet,
    pub key: SigningKey,
    pub from: AccountId,
    pub to: AccountId,
}

impl Payer<'_> {
    pub fn sign(&self, sequence: u64, valid_for_ms: u64) -> Signed<Payment> {
        let head = Head { flags: 0, key_version: 0, sequence, valid_until: Timestamp(now_ms() + valid_for_ms) };
        let (kind, amount, max_fee) = (PaymentKind::Transfer, Amount::from_minor(1), Amount::ZERO);
        let payment = Payment { kind, head, from: self.from, to: self.to, amount, max_fee, reference: [0; 16] };
        payment.sign(self.folder.anchor().network(), &self.key)
    }

    pub async fn submit(&self, payment: &Signed<Payment>, accept_when_unreachable: bool) -> Told {
        let payment = Some(payment_to_message(payment));
        let request = v1::SubmitTransferRequest { payment, accept_when_unreachable };
        told(self.client.clone().submit_transfer(request).await)
    }

    pub async fn next_sequence(&self) -> u64 {
        self.wallet.details().await.unwrap().next_sequence
    }

    /// Submits a record until its answer is final.
    pub async fn final_answer(&self, payment: &Signed<Payment>) -> Told {
        let give_up = tokio::time::Instant::now() + FINAL_WITHIN;
        loop {
            let told = self.submit(payment, false).await;
            if matches!(told, Told::Settled | Told::Refused(_)) {
                return told;
            }
            assert!(tokio::time::Instant::now() < give_up, "no final answer: {told:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_contradicted_where_the_central_bank_stops_in_the_middle_of_a_payment() {
    let (rounds, seed) = rounds_and_seed(6);
    let mut dice = Dice::new(seed, 3);
    let folder = tempfile::tempdir().unwrap();
    let spec = NetworkSpec { banks: 1, ports: Ports::Free, ..NetworkSpec::default() }.without_limits();
    let network = Network::create(&folder.path().join("net"), &spec).unwrap();
    let nodes = Processes::start_from(&network, env!("CARGO_BIN_EXE_cbdc").as_ref()).await.unwrap();
    let central = nodes.pid(network.central_bank()).unwrap();
    let holders = holders::open(&network, 2).await;
    holders[0].wallet.fund(Amount::from_minor(10_000), [7; 16]).await.unwrap().settled().unwrap();
    let payer = Payer {
        folder: &network,
        client: BankClient::new(network.connect_customer(BankId(1)).unwrap().channel()),
        wallet: &holders[0].wallet,
        key: SigningKey::from_seed([0; 32]),
        from: holders[0].account(),
        to: holders[1].account(),
    };
    let (mut settled, mut unknown) = (0, 0);
    for round in 0..rounds {
        let payment = payer.sign(payer.next_sequence().await, VALIDITY_MS);
        let (stop, go_on) = (Signal::ready("STOP", central), Signal::ready("CONT", central));
        let after = Duration::from_micros(500 + dice.among(0..5_500));
        let stopping = async {
            tokio::time::sleep(after).await;
            stop.send();
            tokio::time::sleep(STOPPED_FOR).await;
            go_on.send();
        };
        let again = async {
            tokio::time::sleep(Duration::from_millis(VALIDITY_MS + 100)).await;
            let accepting = payer.submit(&payment, true);
            let waiting = payer.submit(&payment, false);
            tokio::join!(accepting, waiting)
        };
        let (first, (second, third), ()) = tokio::join!(payer.submit(&payment, true), again, stopping);
        // Another payment advances the chain's time, so that the first one's end is known.
        let other = payer.sign(payment.record.head.sequence + 1, 60_000);
        assert_eq!(payer.final_answer(&other).await, Told::Settled, "round {round}");
        let in_the_end = payer.final_answer(&payment).await;
        settled += u64::from(in_the_end == Told::Settled);
        for told in [first, second, third] {
            let is_contradicted = match &told {
                Told::Settled | Told::Refused(_) => (told == Told::Settled) != (in_the_end == Told::Settled),
                // Copies sent later were too late to settle.
                Told::NotYet(_) => in_the_end == Told::Settled,
                Told::Accepted | Told::Unknown => false,
            };
            unknown += u64::from(told == Told::Unknown);
            assert!(!is_contradicted, "round {round}, stopped after {after:?}: told {told:?}, then {in_the_end:?}");
        }
    }
    println!("{settled} of {rounds} settled; {unknown} answers were unknown");
    nodes.stop().await.unwrap();
}
