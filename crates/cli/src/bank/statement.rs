//! `cbdc bank deposits` and `cbdc bank accept-deposits`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use cbdc_client::{AccountId, Amount, Anchor, BankId, v1};
use cbdc_devnet::Network;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use serde_json::json;

use crate::exit::Usage;
use crate::network::NetworkArgument;
use crate::output::{Output, fields, money, table};
use crate::wallet::format::grouped_text;

/// The most bytes of a file of balances: some ten million of them.
const BALANCES_BYTES_MAX: u64 = 1 << 30;
/// The most bytes of one of its lines.
const LINE_BYTES_MAX: u64 = 1_024;

/// List customers' deposits, with what was corrected from the chain while they are in doubt
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc bank deposits --bank 1
  cbdc bank deposits --bank 1 --count 500 --json

Deposits are in doubt if the bank's data folder is older than what the bank has done since. Fundings and defunds are
then booked from the chain, and what only the bank knew (credits) may be missing. Compare every balance with the bank's
own books, and accept them with accept-deposits.

In transit is what has left the deposit and not yet arrived in the wallet: the chain decides whether it arrives or
returns. A shortfall is the part of what was debited from the chain that the balance did not cover. One of 0 proves
nothing: a missing credit that the balance covered leaves none.")]
pub struct Deposits {
    /// The bank's number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    bank: u16,
    /// Deposits on the page
    #[arg(
        long, value_name = "N", default_value_t = 50,
        value_parser = RangedU64ValueParser::<u32>::new().range(1..=500)
    )]
    count: u32,
    /// Continue from here: `next_page_token` of an earlier answer
    #[arg(long, value_name = "TOKEN")]
    page: Option<String>,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Deposits {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let office = network.bank_office(BankId(self.bank))?;
        let answer = office.deposits(self.count, self.page).await?;
        let next = Some(&answer.next_page_token).filter(|token| !token.is_empty());
        let lines: Vec<_> = answer
            .deposits
            .iter()
            .map(|line| {
                let deposit = line.deposit.clone().unwrap_or_default();
                json!({
                    "account": deposit.account,
                    "balance_minor": deposit.balance_minor,
                    "in_transit_minor": deposit.in_transit_minor,
                    "debited_minor": line.debited_minor,
                    "shortfall_minor": line.shortfall_minor,
                })
            })
            .collect();
        let object = json!({
            "bank": self.bank,
            "in_doubt": answer.in_doubt,
            "since_height": answer.in_doubt.then_some(answer.since_height),
            "statement": answer.statement,
            "height": answer.height,
            "catching_up_to": answer.catching_up.then_some(answer.head),
            "corrected": answer.corrected,
            "shortfall_minor": answer.shortfall_minor,
            "deposits": lines,
            "next_page_token": next,
        });
        output.print(object, || {
            let state = match answer.in_doubt {
                true => format!("yes, since block {}", answer.since_height),
                false => "no".to_owned(),
            };
            let mut text = fields(&[
                ("in doubt", state),
                ("statement", answer.statement.to_string()),
                ("as of block", as_of(&answer)),
                ("corrected", answer.corrected.to_string()),
                ("shortfall", money(&anchor, answer.shortfall_minor)),
            ]);
            let rows: Vec<_> = answer
                .deposits
                .iter()
                .map(|line| {
                    let deposit = line.deposit.clone().unwrap_or_default();
                    let amounts =
                        [deposit.balance_minor, deposit.in_transit_minor, line.debited_minor, line.shortfall_minor];
                    let amounts = amounts.map(|minor| money(&anchor, minor));
                    std::iter::once(grouped_text(&deposit.account)).chain(amounts).collect()
                })
                .collect();
            if !rows.is_empty() {
                text.push('\n');
                text.push_str(&table(&["account", ">balance", ">in transit", ">debited", ">shortfall"], &rows));
            }
            let (bank, suffix) = (self.bank, self.network.suffix());
            if let Some(token) = next {
                text.push_str(&format!(
                    "\nmore: cbdc bank deposits --bank {bank} --count {} --page {token}{suffix}\n",
                    self.count
                ));
            }
            if answer.in_doubt && !answer.catching_up {
                text.push_str(&format!(
                    "\nCompare every balance with the bank's own books: a shortfall of {} does not prove that nothing \
                     is\n\
                     missing, since a credit that the balance covered leaves none. In transit is what has left the\n\
                     deposit and not yet arrived in the wallet; the chain decides whether it arrives or returns.\n\
                     \naccept: cbdc bank accept-deposits --bank {bank} --statement {}{suffix}\n",
                    money(&anchor, 0),
                    answer.statement
                ));
            }
            text
        });
        Ok(())
    }
}

/// The block up to which the bank has booked, and how far it has yet to get.
fn as_of(answer: &v1::ListDepositsResponse) -> String {
    match (answer.catching_up, answer.head) {
        (false, _) => answer.height.to_string(),
        (true, 0) => {
            format!("{}; neither the central bank nor a peer has said how far the chain reaches", answer.height)
        }
        (true, head) => format!("{} of {head}; more may be corrected until then", answer.height),
    }
}

/// Accept deposits in doubt, as a statement shows them or with balances set: they are served again
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc bank accept-deposits --bank 1 --statement 7
  cbdc bank accept-deposits --bank 1 --statement 7 --set alice=400 --set bob=12.50
  cbdc bank accept-deposits --bank 1 --statement 7 --file balances.csv

The number of the statement is on the first page of cbdc bank deposits; only the one shown last is accepted. If a
deposit was corrected since then, or one that is set has moved, nothing is done: compare a new statement. A file has a
line ACCOUNT,AMOUNT for each deposit that is set. All balances are set at once or none, however many they are. Safe to
repeat: once deposits are not in doubt, nothing is done.")]
pub struct AcceptDeposits {
    /// The bank's number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    bank: u16,
    /// The number of the statement that was compared
    #[arg(long, value_name = "NUMBER")]
    statement: u64,
    /// The balance of a deposit by the bank's own books: a wallet's name or an account number, and major units
    #[arg(long, value_name = "ACCOUNT=AMOUNT")]
    set: Vec<String>,
    /// A file with such balances, a line ACCOUNT,AMOUNT each
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkArgument,
}

impl AcceptDeposits {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let mut balances = Vec::new();
        for text in &self.set {
            let parts = text.rsplit_once('=');
            let (account, amount) = parts
                .ok_or_else(|| Usage(format!("--set: expected ACCOUNT=AMOUNT, such as alice=400, found {text:?}")))?;
            balances.push((network.account_of(account)?, anchor.parse(amount)?));
        }
        if let Some(file) = &self.file {
            read_balances(&network, &anchor, file, &mut balances)?;
        }
        let office = network.bank_office(BankId(self.bank))?;
        let accepted = office.accept_deposits(self.statement, balances.iter().copied()).await?;
        let set = if accepted { balances.len() } else { 0 };
        output.print(json!({ "bank": self.bank, "accepted": accepted, "set": set }), || match accepted {
            true => fields(&[
                ("accepted", format!("statement {}", self.statement)),
                ("bank", self.bank.to_string()),
                ("balances set", set.to_string()),
            ]),
            false => format!("The deposits of bank {} are not in doubt: nothing was done.\n", self.bank),
        });
        Ok(())
    }
}

/// Reads balances, one a line, from a file of any size.
fn read_balances(
    network: &Network,
    anchor: &Anchor,
    file: &Path,
    balances: &mut Vec<(AccountId, Amount)>,
) -> anyhow::Result<()> {
    let wrong = |what: String| Usage(format!("{}: {what}", file.display()));
    let mut reader = BufReader::new(File::open(file).map_err(|error| wrong(error.to_string()))?);
    let (mut line, mut bytes) = (String::new(), 0);
    for at in 1.. {
        line.clear();
        let read = reader.by_ref().take(LINE_BYTES_MAX).read_line(&mut line);
        let read = read.map_err(|error| wrong(format!("line {at}: {error}")))? as u64;
        bytes += read;
        if read == LINE_BYTES_MAX {
            return Err(wrong(format!("line {at}: expected fewer than {LINE_BYTES_MAX} bytes, found more")).into());
        }
        if bytes > BALANCES_BYTES_MAX {
            return Err(wrong(format!("expected at most {BALANCES_BYTES_MAX} bytes, found more")).into());
        }
        if read == 0 {
            break;
        }
        if line.trim().is_empty() {
            continue;
        }
        let balance = line.split_once(',').ok_or_else(|| "expected ACCOUNT,AMOUNT".to_owned());
        let balance = balance.and_then(|(account, amount)| {
            let account = network.account_of(account.trim()).map_err(|error| error.to_string())?;
            Ok((account, anchor.parse(amount.trim()).map_err(|error| error.to_string())?))
        });
        balances.push(balance.map_err(|error| wrong(format!("line {at}: {error}")))?);
    }
    Ok(())
}
