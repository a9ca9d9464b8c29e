//! `cbdc chain`: headers, blocks and receipts, each checked as it is read; the central bank's nodes that order.

mod members;

use cbdc_client::{BlockPosition, ChainBlock, ClientError, Height, NodeName, VerifiedReceipt};
use cbdc_ledger::command::ReleaseKind;
use cbdc_ledger::{Amount, Command, Outcome, SignedHeader};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::exit::Usage;
use crate::network::NetworkArgument;
use crate::output::{Output, fields, money, table};

/// Read the chain, from the central bank or from a bank's replica
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc chain head
  cbdc chain head --node bank-2        from a bank's replica
  cbdc chain block 17
  cbdc chain follow
  cbdc chain members                   who leads, and how far the others are
  cbdc chain hand-over                 before the leader's machine is worked on")]
pub struct Chain {
    #[command(subcommand)]
    command: Reading,
}

#[derive(Subcommand, Debug)]
enum Reading {
    /// The newest header
    #[command(after_help = "Examples:\n  cbdc chain head --json")]
    Head(ServingNode),
    /// A block with its commands and their outcomes
    #[command(after_help = "Examples:\n  cbdc chain block 17")]
    Block {
        /// The block's height
        height: u64,
        #[command(flatten)]
        source: ServingNode,
    },
    /// The receipt of a command, as bytes for any language
    #[command(after_help = "Examples:
  cbdc chain receipt 17 3 --json
  cbdc chain receipt 17 3 --hash 4f1c…     from a bank, by a payment's place and hash")]
    Receipt {
        /// The block's height
        height: u64,
        /// The command's place in the block, from 0
        index: u32,
        /// The command's hash, as `cbdc wallet receipt` shows it: with it a bank answers anybody, without a certificate
        #[arg(long, value_name = "HASH", value_parser = command_hash)]
        hash: Option<[u8; 32]>,
        #[command(flatten)]
        source: ServingNode,
    },
    /// Each block as it is sealed, until Ctrl-C
    #[command(after_help = "Examples:\n  cbdc chain follow\n  cbdc chain follow --from 1 --json")]
    Follow {
        /// The first height; by default the next block
        #[arg(long, value_name = "HEIGHT")]
        from: Option<u64>,
        #[command(flatten)]
        source: ServingNode,
    },
    /// The central bank's nodes: which leads, how far the others are, and which cannot be reached
    #[command(after_help = members::MEMBERS_HELP)]
    Members(NetworkArgument),
    /// Hand leadership over to another node of the central bank, as an operator: nothing is refused meanwhile
    #[command(after_help = members::HAND_OVER_HELP)]
    HandOver(members::HandOver),
}

#[derive(Args, Debug)]
struct ServingNode {
    /// The node that serves: central-bank-1, bank-1, …; by default a node of the central bank that answers
    #[arg(long, value_name = "NODE")]
    node: Option<NodeName>,
    #[command(flatten)]
    network: NetworkArgument,
}

impl ServingNode {
    async fn open(&self) -> anyhow::Result<(cbdc_devnet::Network, cbdc_client::Chain)> {
        let network = self.network.open()?;
        let node = match self.node {
            Some(node) => node,
            None => network.reading_node().await?,
        };
        let chain = network.chain(node).await?;
        Ok((network, chain))
    }

    /// The receipt of a command whose hash is known, from a bank, as a stranger to it.
    async fn receipt_by_hash(&self, position: BlockPosition, hash: [u8; 32]) -> anyhow::Result<VerifiedReceipt> {
        let network = self.network.open()?;
        let bank = match self.node {
            None => network.banks().next(),
            Some(NodeName::Bank(bank)) => Some(bank),
            Some(NodeName::CentralBank(_)) => None,
        };
        let expected = || Usage("--hash: expected a bank to ask, such as --node bank-1".to_owned());
        let bank = network.connect_customer(bank.ok_or_else(expected)?)?;
        Ok(VerifiedReceipt::fetch(&bank, network.anchor(), position, hash).await?)
    }
}

/// The error where the chain has no block.
fn no_block_yet(source: &ServingNode) -> ClientError {
    let suffix = source.network.suffix();
    ClientError::NotFound(format!(
        "there is no block yet: the node serves, and its height is 0; the first command makes block 1, such as `cbdc \
         policy issue 1000 --bank 1{suffix}`, which gives bank 1 money for its customers"
    ))
}

fn command_hash(text: &str) -> Result<[u8; 32], String> {
    let hash = cbdc_ledger::encoding::hex_decode(text).and_then(|bytes| bytes.try_into().ok());
    hash.ok_or_else(|| format!("expected the 64 hexadecimal digits of a command's hash, found `{text}`"))
}

impl Chain {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        match self.command {
            Reading::Head(source) => {
                let (network, chain) = source.open().await?;
                let header = match chain.header(None).await {
                    Err(ClientError::NotFound(_)) => return Err(no_block_yet(&source).into()),
                    header => header?,
                };
                output.print(header_object(&header), || header_text(network.anchor(), &header));
                // The newest header of a chain that lacks blocks is not the network's.
                Ok(chain.check_serves().await?)
            }
            Reading::Block { height, source } => {
                let (network, chain) = source.open().await?;
                let block = chain.block(Height(height)).await?;
                output.print(block_object(&block), || block_text(network.anchor(), &block));
                Ok(())
            }
            Reading::Receipt { height, index, hash, source } => {
                let position = BlockPosition { height: Height(height), index };
                let receipt = match hash {
                    Some(hash) => source.receipt_by_hash(position, hash).await?,
                    None => source.open().await?.1.receipt(position).await?,
                };
                let bytes = cbdc_ledger::encoding::hex(&receipt.to_bytes());
                let reason = receipt.outcome().reason.name();
                let object = json!({ "height": height, "index": index, "reason": reason, "receipt_hex": bytes });
                output.print(object, || bytes.clone());
                Ok(())
            }
            Reading::Follow { from, source } => follow(&source, from, output).await,
            Reading::Members(network) => members::show(&network, output).await,
            Reading::HandOver(hand_over) => hand_over.run(output).await,
        }
    }
}

async fn follow(source: &ServingNode, from: Option<u64>, output: &Output) -> anyhow::Result<()> {
    let (network, chain) = source.open().await?;
    let from = match from {
        Some(height) => Height(height),
        None => match chain.header(None).await {
            Ok(header) => header.header.height.next(),
            Err(cbdc_client::ClientError::NotFound(_)) => Height(1),
            Err(error) => return Err(error.into()),
        },
    };
    let mut blocks = chain.follow(from).await?;
    loop {
        let block = tokio::select! {
            block = blocks.next() => block?,
            _ = crate::shutdown::requested(false) => return Ok(()),
        };
        let Some(block) = block else { return Ok(()) };
        output.print(header_object(&block.header), || {
            let header = &block.header.header;
            let settled = block.outcomes.iter().filter(|outcome| outcome.is_settled()).count();
            let supply = network.anchor().show(header.cbdc);
            format!(
                "{:>8}  {}  {:>6} commands  {settled:>6} settled  {supply}",
                header.height.0, header.time, header.command_count
            )
        });
    }
}

fn header_object(signed: &SignedHeader) -> Value {
    let header = &signed.header;
    let hex = |hash: &[u8]| cbdc_ledger::encoding::hex(hash);
    json!({
        "height": header.height.0,
        "time_ms": header.time.0,
        "commands": header.command_count,
        "hash": hex(&header.hash()),
        "parent": hex(&header.parent),
        "commands_root": hex(&header.commands_root),
        "effects_root": hex(&header.effects_root),
        "books_digest": hex(&header.books_digest),
        "policy_version": header.policy_version,
        "cbdc_minor": header.cbdc.minor(),
        "signed_by": signed.signatures.iter().map(|(node, _)| node.0).collect::<Vec<_>>(),
    })
}

fn header_text(anchor: &cbdc_client::Anchor, signed: &SignedHeader) -> String {
    let header = &signed.header;
    let signers =
        signed.signatures.iter().map(|(node, _)| format!("central-bank-{node}")).collect::<Vec<_>>().join(", ");
    fields(&[
        ("height", header.height.to_string()),
        ("time", header.time.to_string()),
        ("commands", header.command_count.to_string()),
        ("hash", cbdc_ledger::encoding::hex(&header.hash())),
        ("parent", cbdc_ledger::encoding::hex(&header.parent)),
        ("policy version", header.policy_version.to_string()),
        ("in circulation", money(anchor, header.cbdc.minor())),
        ("signed by", signers),
    ])
}

fn block_object(block: &ChainBlock) -> Value {
    let commands = block.commands();
    let command = |(index, (command, outcome)): (usize, (&Command, &Outcome))| {
        let mut object = json!({
            "index": index,
            "kind": command.kind().name(),
            "signer": signer(command),
            "sequence": command.head().sequence,
            "reason": outcome.reason.name(),
        });
        let is_settled = outcome.is_settled();
        if let Some(amount) = amount_of(command) {
            object["amount_minor"] = amount.minor().into();
        }
        match command {
            _ if !is_settled => (object["limit"], object["amount"]) = (outcome.limit.into(), outcome.amount.into()),
            Command::Payment(_) | Command::ReverseWaterfall(_) => add_charges(&mut object, outcome),
            Command::Release(release) if release.record.kind == ReleaseKind::Capture => {
                add_charges(&mut object, outcome);
            }
            _ if outcome.amount > 0 => object["result"] = outcome.amount.into(),
            _ => {}
        }
        object
    };
    let commands: Vec<Value> = commands.iter().zip(&block.outcomes).enumerate().map(command).collect();
    json!({ "header": header_object(&block.header), "commands": commands })
}

fn block_text(anchor: &cbdc_client::Anchor, block: &ChainBlock) -> String {
    let commands = block.commands();
    let row = |(index, (command, outcome)): (usize, (&Command, &Outcome))| {
        let amount = amount_of(command).map_or_else(String::new, |amount| anchor.show(amount));
        vec![index.to_string(), command.kind().name().to_owned(), signer(command), amount, outcome.reason.to_string()]
    };
    let rows: Vec<_> = commands.iter().zip(&block.outcomes).enumerate().map(row).collect();
    let commands = table(&[">index", "kind", "signer", ">amount", "outcome"], &rows);
    format!("{}\n{commands}", header_text(anchor, &block.header))
}

/// The amount in a command, if it has one.
fn amount_of(command: &Command) -> Option<Amount> {
    Some(match command {
        Command::Payment(signed) => signed.record.amount,
        Command::ReverseWaterfall(signed) => signed.record.transfer.record.amount,
        Command::Hold(signed) => signed.record.maximum,
        Command::Release(signed) => signed.record.amount,
        Command::Issuance(signed) => signed.record.request.record.amount,
        Command::ReservesTransfer(signed) => signed.record.amount,
        Command::Operation(signed) => signed.record.amount,
        Command::DepositStatement(signed) => signed.record.deposits,
        Command::Freeze(signed) => signed.record.amount,
        Command::Seize(signed) => signed.record.amount,
        Command::OpenWallet(_)
        | Command::CloseWallet(_)
        | Command::ReplaceKey(_)
        | Command::Propose(_)
        | Command::Vote(_)
        | Command::LinkBank(_)
        | Command::DesignateWallet(_)
        | Command::MoveWallet(_)
        | Command::Reclassify(_) => return None,
    })
}

/// Adds what a settled payment moved in addition to its amount.
fn add_charges(object: &mut Value, outcome: &Outcome) {
    let charges = outcome.charges();
    object["fee_minor"] = charges.fee.minor().into();
    object["payee_fee_minor"] = charges.payee_fee.minor().into();
    object["reverse_waterfall_minor"] = charges.reverse_waterfall.minor().into();
}

fn signer(command: &Command) -> String {
    match command.signer() {
        cbdc_ledger::command::Signer::Holder(account) => account.to_string(),
        cbdc_ledger::command::Signer::Member(role, id) => format!("{role}-{id}"),
    }
}
