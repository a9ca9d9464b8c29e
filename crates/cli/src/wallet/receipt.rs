//! `cbdc wallet receipt`: fetches a receipt and checks it against genesis.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use cbdc_client::{Anchor, BlockPosition, ClientError, Height, VerifiedReceipt};
use cbdc_ledger::Command;
use cbdc_ledger::command::{Payment, Signed};
use clap::{ArgGroup, Args};
use serde_json::{Value, json};

use super::format::{charges_rows, grouped, reference_text};
use crate::exit::Usage;
use crate::network::NetworkArgument;
use crate::output::{Output, fields};

/// Fetch a receipt and check it, or check a saved one without any server
#[derive(Args, Debug)]
#[command(
    group(ArgGroup::new("which").required(true).args(["position", "sequence", "last", "verify"])),
    after_help = "Examples:
  cbdc wallet receipt alice --last
  cbdc wallet receipt alice 17:3                 the command 3 of block 17
  cbdc wallet receipt alice --sequence 5         the wallet's sequence number 5
  cbdc wallet receipt alice --last --save payment.receipt
  cbdc wallet receipt --verify payment.receipt   offline, with genesis.bin alone

Position and hash, given to somebody else, let them fetch the receipt from any bank: cbdc chain
receipt 17 3 --hash 4f1c…"
)]
pub struct Receipt {
    /// The wallet's name; its bank serves the receipt
    #[arg(required_unless_present = "verify")]
    name: Option<String>,
    /// Height and index, as `pay` and `history` print them: 17:3
    #[arg(value_parser = position)]
    position: Option<BlockPosition>,
    /// The wallet's own sequence number
    #[arg(long, value_name = "N", alias = "number")]
    sequence: Option<u64>,
    /// The wallet's newest payment
    #[arg(long)]
    last: bool,
    /// Keep the receipt in a new file
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Check a saved receipt
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "save"])]
    verify: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkArgument,
}

impl Receipt {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        if let Some(file) = &self.verify {
            let genesis = self.network.network.join(cbdc_client::NetworkFolder::GENESIS);
            let anchor = Anchor::load(&genesis)
                .context("a receipt is checked against genesis; name its folder with --network")?;
            let receipt = VerifiedReceipt::load(file, &anchor).map_err(|error| not_of_this_network(&anchor, error))?;
            report(output, &anchor, &receipt, None);
            return Ok(());
        }
        let network = self.network.open()?;
        let name = self.name.as_deref().unwrap_or_default();
        let wallet = network.wallet(name)?;
        let receipt = match (self.position, self.sequence) {
            (Some(position), _) => wallet.receipt(position).await?,
            (_, Some(sequence)) => wallet.receipt_of_sequence(sequence).await?,
            _ => {
                let newest = wallet.history(1, None).await?.entries.into_iter().next();
                let newest =
                    newest.ok_or_else(|| Usage(format!("{name} has no payments yet, so there is no receipt")))?;
                wallet.receipt(newest.position).await?
            }
        };
        if let Some(file) = &self.save {
            save(file, &receipt.to_bytes())?;
        }
        report(output, network.anchor(), &receipt, self.save.as_deref());
        Ok(())
    }
}

/// Says which network a receipt was checked for, where its proof does not hold there.
fn not_of_this_network(anchor: &Anchor, error: ClientError) -> anyhow::Error {
    let is_proof = matches!(error, ClientError::Proof(_));
    let error = anyhow::Error::new(error);
    match is_proof {
        false => error,
        true => error.context(format!(
            "this is no receipt of the network {}: it is another network's, or was changed; name the folder of its own \
            with --network",
            anchor.network()
        )),
    }
}

/// Writes a new file. One that is there is kept, unless it holds this receipt already.
fn save(file: &Path, receipt: &[u8]) -> anyhow::Result<()> {
    let written = File::create_new(file).and_then(|mut new| new.write_all(receipt).and_then(|()| new.sync_all()));
    match written {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let is_same = std::fs::metadata(file).is_ok_and(|found| found.len() == receipt.len() as u64)
                && std::fs::read(file).is_ok_and(|found| found == receipt);
            let expected =
                || format!("--save: expected the name of a new file, found {}, which exists", file.display());
            if is_same { Ok(()) } else { Err(Usage(expected()).into()) }
        }
        written => written.with_context(|| format!("cannot write {}", file.display())),
    }
}

fn report(output: &Output, anchor: &Anchor, receipt: &VerifiedReceipt, saved: Option<&Path>) {
    output.print(object(anchor, receipt, saved), || {
        let outcome = receipt.outcome();
        let mut rows = vec![
            ("receipt", "valid".to_owned()),
            ("network", anchor.network().to_string()),
            ("position", format!("block {}, command {}", receipt.position().height, receipt.position().index)),
            ("time", receipt.time().to_string()),
            ("kind", receipt.command().kind().name().to_owned()),
            ("hash", cbdc_ledger::encoding::hex(&receipt.command_hash())),
        ];
        if let Some(payment) = payment_of(receipt.command()) {
            rows.push(("from", grouped(payment.record.from)));
            rows.push(("to", grouped(payment.record.to)));
            rows.push(("amount", anchor.show(payment.record.amount)));
            rows.extend(charges_rows(anchor, payment.record.amount, &outcome.charges()));
            rows.push(("reference", reference_text(&payment.record.reference)));
        }
        rows.push(("outcome", format!("{}: {}", outcome.reason, outcome.reason.text())));
        rows.push(("policy version", receipt.policy_version().to_string()));
        let signers =
            receipt.signers().iter().map(|node| format!("central-bank-{node}")).collect::<Vec<_>>().join(", ");
        rows.push(("signed by", signers));
        if let Some(file) = saved {
            rows.push(("saved in", file.display().to_string()));
        }
        let proved = "It proves: this command, with this signature, was ordered at that position with that outcome,\n\
                      under that version of policy, in a block that the central bank signed. No bank need be trusted\n\
                      for it.";
        format!("{}\n{proved}", fields(&rows))
    });
}

/// The payment that a command is, or carries: a topped-up payment is part of its bank's command.
pub fn payment_of(command: &Command) -> Option<&Signed<Payment>> {
    match command {
        Command::Payment(payment) => Some(payment),
        Command::ReverseWaterfall(order) => Some(&order.record.transfer),
        _ => None,
    }
}

fn object(anchor: &Anchor, receipt: &VerifiedReceipt, saved: Option<&Path>) -> Value {
    let charges = receipt.outcome().charges();
    let payment = payment_of(receipt.command()).map(|payment| {
        let is_settled = receipt.outcome().is_settled();
        let credited = is_settled.then(|| payment.record.amount.minus_or_zero(charges.payee_fee).minor());
        json!({
            "from": payment.record.from.to_string(),
            "to": payment.record.to.to_string(),
            "amount_minor": payment.record.amount.minor(),
            "fee_minor": charges.fee.minor(),
            "payee_fee_minor": charges.payee_fee.minor(),
            "credited_minor": credited,
            "reverse_waterfall_minor": charges.reverse_waterfall.minor(),
            "sequence": payment.record.head.sequence,
            "reference": reference_text(&payment.record.reference),
        })
    });
    json!({
        "valid": true,
        "network_id": anchor.network().to_string(),
        "height": receipt.position().height.0,
        "index": receipt.position().index,
        "time_ms": receipt.time().0,
        "kind": receipt.command().kind().name(),
        "command_hash": cbdc_ledger::encoding::hex(&receipt.command_hash()),
        "payment": payment,
        "reason": receipt.outcome().reason.name(),
        "settled": receipt.outcome().is_settled(),
        "policy_version": receipt.policy_version(),
        "signed_by": receipt.signers().iter().map(|node| node.0).collect::<Vec<_>>(),
        "saved_in": saved,
    })
}

fn position(text: &str) -> Result<BlockPosition, String> {
    let wrong = || format!("expected a position such as 17:3 (height and index), found `{text}`");
    let (height, index) = text.split_once(':').ok_or_else(wrong)?;
    let height = Height(height.parse().map_err(|_| wrong())?);
    Ok(BlockPosition { height, index: index.parse().map_err(|_| wrong())? })
}
