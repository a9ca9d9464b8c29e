//! A wallet: read the balance, pay, read history, keep a receipt.
//!
//! Start a network (`cbdc up network`), then in a second terminal:
//! `cargo run --release -p cbdc -p cbdc-client --example wallet -- network`

use std::path::Path;

use cbdc_client::{Anchor, NetworkFolder, SubmissionStatus};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "network".to_owned());
    let network = NetworkFolder::open(Path::new(&dir))?;
    let anchor: &Anchor = network.anchor();
    let alice = network.wallet("alice")?;
    let bob = network.account_of("bob")?;

    println!("bank: {}", alice.status().await?.name);
    println!("alice has {}", anchor.show(alice.balance().await?.available));

    let submission = alice.pay(bob, anchor.parse("1.25")?).await?;
    match &submission.status {
        SubmissionStatus::Settled { position, .. } => println!("settled at {position}"),
        SubmissionStatus::Refused(refusal) => println!("refused: {refusal}"),
        SubmissionStatus::Accepted => println!("accepted, not settled yet"),
        SubmissionStatus::Unknown { why } => println!("unknown ({why}): submit the same record again with submit()"),
    }
    let position = submission.status.settled()?;

    for entry in alice.history(5, None).await?.entries {
        println!("{}  {}  {}", entry.position, entry.kind, anchor.show(entry.balance));
        for change in &entry.changes {
            println!("    {} {}", change.cause.name(), anchor.show(change.amount));
        }
    }
    let receipt = alice.receipt(position).await?;
    println!("the receipt holds: signed by nodes {:?}, {} bytes to keep", receipt.signers(), receipt.to_bytes().len());
    Ok(())
}
