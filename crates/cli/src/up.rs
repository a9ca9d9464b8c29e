//! `cbdc up`: a development network in the foreground, with money and wallets, ready in about a second.
//!
//! 1. Creates the folder if there is none; otherwise continues with its data.
//! 2. Starts every node, in this process or each in its own.
//! 3. Makes sure that every bank has CBDC in its treasury and that three named wallets are open, funded and, if the
//!    network's preset links their class, linked to their own bank. Each step can be repeated: the next run completes
//!    an interrupted one.
//! 4. Prints endpoints, wallets and next steps; runs until Ctrl-C or SIGTERM, and stops every node in order.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use cbdc_client::bank_office::IssuanceAnswer;
use cbdc_client::{
    Amount, BankId, Class, ClientError, IssuanceKind, Leaderships, NodeName, Role, WalletFile, random_id,
};
use cbdc_devnet::{InProcess, Network, NetworkError, Processes};
use clap::Args;
use serde_json::{Value, json};

use crate::exit::Usage;
use crate::init::{Shape, nodes, nodes_table};
use crate::output::{Output, fields, shell_word};
use crate::wallet::list::{balances, wallets_table};

/// The CBDC that each bank of a new network requests, in major units.
const FIRST_ISSUANCE: u64 = 1_000_000;
/// The wallets of a new network: name, class, bank if it exists, first money in major units.
const WALLETS: [(&str, Class, u16, u64); 3] =
    [("alice", Class::HOUSEHOLD, 1, 1_000), ("bob", Class::HOUSEHOLD, 2, 500), ("carol", Class::MERCHANT, 3, 200)];
/// The interval at which processes are checked.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The interval at which the central bank's nodes are asked who leads, while one of them is away.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Run a development network in the foreground, with money and three wallets
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc up                               in ./network, created if it is new
  cbdc up mynet --banks 5 --base-port 8000
  cbdc up mynet --processes             every node its own process
  cbdc up mynet --central-banks 3       one of three central-bank nodes may be lost
  cbdc up euro --preset digital-euro    under published figures
  cbdc up mynet --force                 start again, without the old data

An existing network is continued with its own number of nodes and policy. Ctrl-C stops every node. If one node of
several of the central bank ends by itself, the others go on. While they are no majority nothing is settled: that is
said, with what to start, and when one leads again. If a preset links a
class to deposits, as digital-euro does merchants, which may hold nothing, the wallets of that class are linked to
their own bank: what exceeds the holding limit goes to the deposit there.")]
pub struct Up {
    /// The network's folder
    #[arg(env = "CBDC_NETWORK", default_value = "network")]
    dir: PathBuf,
    #[command(flatten)]
    shape: Shape,
    /// Run every node as its own process
    #[arg(long)]
    processes: bool,
    /// Replace an existing network, with all its data
    #[arg(long)]
    force: bool,
}

/// The running nodes.
enum Running {
    InProcess(InProcess),
    Processes(Processes),
}

impl Up {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let begun = Instant::now();
        // One listener from the start, so that no folder is left half made, and no signal is lost between two stages.
        let mut stop = std::pin::pin!(crate::shutdown::requested(false));
        let (network, is_new) = self.network()?;
        match is_new {
            true => self.shape.caution(output),
            false => self.shape.note_unused(&network, output),
        }
        let mut running = tokio::select! {
            started = self.start(&network) => started.map_err(|error| about_ports(&self.dir, is_new, error))?,
            _ = &mut stop => return Ok(()),
        };
        let ready = tokio::select! {
            prepared = prepare_or_say_why(&network) => prepared.map(|()| true),
            _ = &mut stop => Ok(false),
        };
        let outcome = match ready {
            Ok(true) => {
                self.welcome(&network, is_new, begun.elapsed(), output).await?;
                if let Some(why) = central_bank_failure(&network).await {
                    output.note(&format!("\nThe central bank does not serve: {why}"));
                }
                running.until_stopped(&network, stop, output).await
            }
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        running.stop().await?;
        outcome
    }

    fn network(&self) -> anyhow::Result<(Network, bool)> {
        let is_there = cbdc_client::NetworkFolder::is_there(&self.dir)?;
        let spec = self.shape.spec();
        Ok(match (is_there, self.force) {
            (true, false) => {
                let network = Network::open(&self.dir)?;
                check_is_whole(&network)?;
                (network, false)
            }
            (true, true) => (Network::create_or_replace(&self.dir, &spec)?, true),
            (false, _) => (Network::create(&self.dir, &spec)?, true),
        })
    }

    async fn start(&self, network: &Network) -> anyhow::Result<Running> {
        if self.processes {
            return Ok(Running::Processes(Processes::start(network).await?));
        }
        crate::logging::to_file(&log_path(&self.dir))?;
        Ok(Running::InProcess(InProcess::start(network).await?))
    }

    async fn welcome(&self, network: &Network, is_new: bool, took: Duration, output: &Output) -> anyhow::Result<()> {
        let mut nodes = nodes(network)?;
        let central_banks = network.central_banks().count();
        if central_banks > 1 {
            let leader = network.leader().await.map(|leader| leader.to_string());
            for node in &mut nodes[..central_banks] {
                let leads = node["node"].as_str() == leader.as_deref();
                node["part"] = if leads { "leader" } else { "follower" }.into();
            }
        }
        let wallets = balances(network).await?;
        let linked = linked_banks(network, &wallets).await;
        let wallet_objects: Vec<Value> = wallets
            .iter()
            .zip(&linked)
            .map(|((file, available), linked)| {
                json!({
                    "name": file.name,
                    "account": file.account.map(|account| account.to_string()),
                    "bank": file.bank.0,
                    "available_minor": available,
                    "linked_bank": linked,
                })
            })
            .collect();
        let object = json!({
            "network_id": network.anchor().network().to_string(),
            "dir": self.dir,
            "resumed": !is_new,
            "ready_after_ms": took.as_millis() as u64,
            "nodes": nodes,
            "wallets": wallet_objects,
        });
        output.print(object, || {
            let state = if is_new { "new" } else { "resumed" };
            let log = if self.processes {
                "node.log in each node's folder".to_owned()
            } else {
                log_path(&self.dir).display().to_string()
            };
            let about = fields(&[
                ("network", format!("{} ({state}, ready in {:.1} s)", network.anchor().network(), took.as_secs_f64())),
                ("folder", self.dir.display().to_string()),
                ("log", log),
            ]);
            let wallets_shown = wallets_table(network, &wallets);
            let links = links_text(&wallets, &linked);
            format!(
                "{about}\n{}\n{wallets_shown}{links}\n{}",
                nodes_table(&nodes),
                next_steps(&self.dir, central_banks)
            )
        });
        Ok(())
    }
}

/// The bank that each wallet is linked to, 0 for none; `None` if its bank does not answer.
async fn linked_banks(network: &Network, wallets: &[(WalletFile, Option<u64>)]) -> Vec<Option<u32>> {
    let mut linked = Vec::new();
    for (file, _) in wallets {
        let details = match network.wallet(&file.name) {
            Ok(wallet) => wallet.details().await.ok(),
            Err(_) => None,
        };
        linked.push(details.map(|details| details.linked_bank));
    }
    linked
}

/// A line for each linked wallet.
fn links_text(wallets: &[(WalletFile, Option<u64>)], linked: &[Option<u32>]) -> String {
    let line = |((file, _), linked): (&(WalletFile, Option<u64>), &Option<u32>)| {
        let bank = linked.filter(|bank| *bank > 0)?;
        let name = &file.name;
        Some(format!("{name} is linked to bank {bank}: what exceeds the holding limit goes to the deposit there.\n"))
    };
    wallets.iter().zip(linked).filter_map(line).collect()
}

/// Refuses to run a part of a network as if it were the whole.
fn check_is_whole(network: &Network) -> anyhow::Result<()> {
    let elsewhere = network.nodes_elsewhere();
    if elsewhere.is_empty() {
        return Ok(());
    }
    let names = |nodes: Vec<NodeName>| nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let here = network.nodes().filter(|node| !elsewhere.contains(node)).collect();
    Err(Usage(format!(
        "expected the folder of every node in {}, since `cbdc up` runs a whole network; found {}, and not {}; start a \
         single node with `cbdc node`",
        network.dir().display(),
        names(here),
        names(elsewhere)
    ))
    .into())
}

/// Says what helps where a port is another program's.
fn about_ports(dir: &Path, is_new: bool, error: anyhow::Error) -> anyhow::Error {
    if !error.chain().any(|cause| cause.to_string().contains("cannot listen on")) {
        return error;
    }
    let other_ports = match is_new {
        true => format!("or take others: cbdc up {} --force --base-port 8000", shell_word(dir)),
        false => format!("or change the ports in the config.toml of each node in {}", dir.display()),
    };
    error.context(format!("a port of the network is taken; stop what uses it (another `cbdc up`?), {other_ports}"))
}

fn log_path(dir: &Path) -> PathBuf {
    dir.join("network.log")
}

/// Commands that can be pasted into a second terminal.
fn next_steps(dir: &Path, central_banks: usize) -> String {
    let program = std::env::args().next().filter(|program| program.contains('/')).unwrap_or_else(|| "cbdc".to_owned());
    let program = shell_word(Path::new(&program));
    let network = match dir == Path::new("network") {
        true => String::new(),
        false => format!(" --network {}", shell_word(dir)),
    };
    let steps = [
        "wallet pay alice bob 12.50",
        "wallet receipt alice --last",
        "wallet history bob",
        "policy balance-sheet",
        "policy propose payment-limit.household=10 --approve",
        "chain head",
        "audit",
    ];
    let of_several: &[&str] = if central_banks > 1 { &["chain members", "chain hand-over"] } else { &[] };
    let steps = steps.iter().chain(of_several);
    let lines: String = steps.map(|step| format!("  {program} {step}{network}\n")).collect();
    format!("Try, in a second terminal:\n{lines}\nCtrl-C stops the network; the same command continues it.")
}

impl Running {
    /// Runs until a stop is requested, or a node ends by itself without which the network cannot go on.
    async fn until_stopped(
        &mut self,
        network: &Network,
        stop: impl Future<Output = &'static str>,
        output: &Output,
    ) -> anyhow::Result<()> {
        let mut stop = std::pin::pin!(stop);
        let mut watched = Majority::default();
        loop {
            let (node, error) = tokio::select! {
                ended = self.stopped() => ended,
                // By their answers: a node that was started again by hand is none of this program's.
                said = watched.changed(network) => {
                    output.note(&format!("\n{said}"));
                    continue;
                }
                why = &mut stop => {
                    output.note(&format!("\n{why}: stopping"));
                    return Ok(());
                }
            };
            if node.role() != Role::CentralBank || network.central_banks().count() == 1 {
                return Err(error.into());
            }
            let known = network.leaderships().await;
            // One that the leader does not list was dismissed, and is not to come back.
            if known.leader().is_some() && !known.voters().contains(&node) {
                output.note(&format!("\nnote: {node} has stopped: it is none of those that order any more"));
                continue;
            }
            output.note(&format!("\n{}\n{}", lost(network, node, &error), watched.lost(&known)));
        }
    }

    /// Waits until a node ends by itself.
    async fn stopped(&mut self) -> (NodeName, NetworkError) {
        match self {
            Running::InProcess(nodes) => nodes.stopped().await,
            Running::Processes(processes) => watch(processes).await,
        }
    }

    async fn stop(self) -> anyhow::Result<()> {
        match self {
            Running::InProcess(nodes) => nodes.stop().await,
            Running::Processes(processes) => processes.stop().await?,
        }
        Ok(())
    }
}

/// Says that one of the central bank's nodes was lost, and how to start it again.
fn lost(network: &Network, node: NodeName, error: &NetworkError) -> String {
    let what = match error {
        NetworkError::Died { status, log, .. } => format!("{node} ended ({status}); its log is {}", log.display()),
        other => other.to_string(),
    };
    let config = shell_word(&network.config_path(node));
    format!("note: {what}\nStart it again with\n  cbdc node central-bank --config {config}")
}

/// Whether a majority of the central bank's nodes runs, as was said last.
#[derive(Default)]
struct Majority {
    /// Whether one of them was lost and not all have answered since: only then they are asked.
    is_watched: bool,
    is_gone: bool,
}

impl Majority {
    /// The sentence on what is left once a node was lost.
    fn lost(&mut self, known: &Leaderships) -> String {
        let (left, of) = (known.0.iter().filter(|asked| asked.answer.is_ok()).count(), known.voters().len());
        self.is_watched = true;
        self.is_gone = left < known.majority();
        match self.is_gone {
            false => format!("{left} of the central bank's {of} nodes are left, a majority: payments go on"),
            true => format!(
                "{left} of the central bank's {of} nodes {} left, no majority: nothing is settled until {} run; what \
                 was answered settled stays so",
                if left == 1 { "is" } else { "are" },
                known.majority()
            ),
        }
    }

    /// Waits until the majority is gone, back, or all nodes are there again, and says so. For ever while none was lost.
    async fn changed(&mut self, network: &Network) -> String {
        loop {
            if !self.is_watched {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(ASK_EVERY).await;
            let known = network.leaderships().await;
            if let Some(said) = self.note(known.leader(), known.reached().len(), known.voters().len()) {
                return said;
            }
        }
    }

    /// Notes who leads, and how many of the nodes answer; what is to be said of it.
    fn note(&mut self, leader: Option<NodeName>, reached: usize, of: usize) -> Option<String> {
        let was_gone = self.is_gone;
        self.is_gone = leader.is_none();
        let Some(leader) = leader else {
            let gone =
                format!("note: {reached} of the central bank's {of} nodes answer, and none leads: nothing is settled");
            return (!was_gone).then_some(gone);
        };
        if reached == of {
            self.is_watched = false;
            return Some(format!("note: all {of} nodes of the central bank run; {leader} leads"));
        }
        let back =
            format!("note: {leader} leads; {reached} of the central bank's {of} nodes run, a majority: payments go on");
        was_gone.then_some(back)
    }
}

async fn watch(processes: &mut Processes) -> (NodeName, NetworkError) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Some(ended) = processes.ended() {
            return ended;
        }
    }
}

/// Why the central bank answers nothing, if it does not: it has lost blocks, for one.
async fn central_bank_failure(network: &Network) -> Option<ClientError> {
    let asked = async { network.chain(network.reading_node().await?).await?.check_serves().await };
    asked.await.err()
}

/// Prepares the network's money and wallets. Where the central bank does not serve, that is the reason.
async fn prepare_or_say_why(network: &Network) -> anyhow::Result<()> {
    let Err(error) = prepare(network).await else { return Ok(()) };
    Err(error.context(match central_bank_failure(network).await {
        Some(why) => format!("the network runs, but the central bank does not serve: {why}"),
        None => "the network runs, but its money and wallets could not be set up".to_owned(),
    }))
}

/// Issues CBDC to every bank and opens, links and funds the named wallets, unless that is done already.
async fn prepare(network: &Network) -> anyhow::Result<()> {
    // Banks that were admitted since have neither reserves nor the wallets of the beginning.
    let founders: Vec<BankId> =
        network.banks().filter(|bank| network.anchor().banks().any(|(founder, _)| founder == *bank)).collect();
    for bank in founders.iter().copied() {
        issue_first(network, bank).await.with_context(|| format!("bank {bank} could not be given CBDC"))?;
    }
    let last = founders.last().copied().unwrap_or(BankId(1));
    for (name, class, bank, money) in WALLETS {
        // It may have moved to another bank since.
        if network.wallet_file(name).is_ok_and(|file| file.funded) {
            continue;
        }
        let bank = founders.iter().copied().find(|founder| founder.0 == bank).unwrap_or(last);
        let opened = network.open_wallet(name, bank, class).await;
        let file = opened.with_context(|| format!("the wallet `{name}` could not be opened"))?;
        if !file.funded {
            link_first(network, &file).await.with_context(|| format!("the wallet `{name}` could not be linked"))?;
            fund_first(network, file, first_money(network, class, money))
                .await
                .with_context(|| format!("the wallet `{name}` could not be funded"))?;
        }
    }
    Ok(())
}

/// The money of a new wallet of the class, up to the first policy's holding limit.
fn first_money(network: &Network, class: Class, money: u64) -> Amount {
    let limit = network.anchor().genesis().policy.class(class).holding_limit;
    limit.map_or(major(network, money), |limit| limit.min(major(network, money)))
}

async fn issue_first(network: &Network, bank: BankId) -> anyhow::Result<()> {
    let office = network.bank_office(bank)?;
    let was_done = network.wallet_files()?.iter().any(|file| file.bank == bank && file.funded);
    let treasury = office.treasury().await?;
    if was_done || treasury.available_minor > 0 {
        return Ok(());
    }
    let wanted = major(network, FIRST_ISSUANCE).minor().min(treasury.reserves_minor);
    let answer = office.request_issuance(IssuanceKind::Issue, Amount::from_minor(wanted), random_id()).await?;
    if let IssuanceAnswer::Ordered(status) = answer {
        status.settled()?;
        return Ok(());
    }
    // The operator endorses by hand; here this program does so.
    let governance = network.acting(Role::Operator).await?;
    for request in governance.waiting_requests().await?.into_iter().filter(|request| request.record.bank == bank) {
        governance.endorse(request).await?.settled()?;
    }
    Ok(())
}

/// Links a wallet to its own bank if the network's preset links its class: a wallet with a limit of zero could not be
/// paid otherwise.
async fn link_first(network: &Network, file: &WalletFile) -> anyhow::Result<()> {
    let preset = crate::preset::of_network(network.anchor());
    if preset.is_none_or(|preset| *preset.linked.get(file.class) == 0.0) {
        return Ok(());
    }
    let wallet = network.wallet(&file.name)?;
    if wallet.details().await?.linked_bank == 0 {
        wallet.link_bank().await?.settled()?;
    }
    Ok(())
}

/// Funds a wallet. The request ids follow from the holder's id, so that an interrupted run does not pay twice.
async fn fund_first(network: &Network, mut file: WalletFile, money: Amount) -> anyhow::Result<()> {
    let wallet = network.wallet(&file.name)?;
    let request_id = |step: u8| {
        let mut id = file.holder.0;
        id[15] ^= step;
        id
    };
    if !money.is_zero() {
        network.bank_office(file.bank)?.credit_deposit(wallet.account(), money, request_id(1)).await?;
        wallet.fund(money, request_id(2)).await?.settled()?;
    }
    file.funded = true;
    file.save(&network.wallets_dir())?;
    Ok(())
}

fn major(network: &Network, amount: u64) -> Amount {
    let unit = 10_u64.pow(u32::from(network.anchor().genesis().currency_exponent));
    Amount::from_minor(amount.saturating_mul(unit))
}

#[cfg(test)]
mod tests {
    use cbdc_client::MemberId;

    use super::*;

    #[test]
    fn a_network_that_began_under_a_preset_is_known_by_its_genesis() {
        use cbdc_devnet::policy::{CURRENCY_EXPONENT, Preset};
        use cbdc_devnet::{NetworkSpec, Ports};

        let folder = tempfile::tempdir().unwrap();
        let plain = NetworkSpec { ports: Ports::Free, banks: 1, ..NetworkSpec::default() };
        for preset in std::iter::once(None).chain(Preset::all().iter().map(Some)) {
            let spec = preset.map_or(plain.clone(), |preset| NetworkSpec {
                currency: preset.currency.clone(),
                currency_exponent: CURRENCY_EXPONENT,
                policy: preset.parameters(),
                ..plain.clone()
            });
            let name = preset.map_or("none", |preset| &preset.name);
            let network = Network::create(&folder.path().join(name), &spec).unwrap();
            let found = crate::preset::of_network(network.anchor()).map(|preset| &preset.name);
            assert_eq!(found, preset.map(|preset| &preset.name));
        }
    }

    #[test]
    fn it_is_said_once_that_the_majority_is_gone_and_that_it_is_back() {
        let first = Some(NodeName::CentralBank(MemberId(1)));
        let mut watched = Majority { is_watched: true, is_gone: false };
        assert_eq!(watched.note(first, 2, 3), None);
        assert!(watched.note(None, 1, 3).unwrap().contains("1 of the central bank's 3 nodes answer, and none leads"));
        assert_eq!(watched.note(None, 1, 3), None);
        assert!(watched.note(first, 2, 3).unwrap().contains("central-bank-1 leads; 2 of"));
        assert_eq!(watched.note(first, 2, 3), None);
        assert!(watched.note(first, 3, 3).unwrap().contains("all 3 nodes") && !watched.is_watched);
    }

    #[test]
    fn the_next_steps_name_the_network_where_it_is_not_the_usual_one() {
        assert!(!next_steps(Path::new("network"), 1).contains("--network"));
        assert!(next_steps(Path::new("my net"), 1).contains("chain head --network 'my net'"));
        assert!(next_steps(Path::new("my net"), 3).contains("chain members --network 'my net'"));
    }
}
