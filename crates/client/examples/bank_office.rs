//! A bank's back office: the treasury, issuance against reserves, a salary paid in and moved to a wallet.
//!
//! Start a network (`cbdc up network`), then in a second terminal:
//! `cargo run --release -p cbdc -p cbdc-client --example bank_office -- network`

use std::path::Path;

use cbdc_client::{Amount, BankId, IssuanceKind, NetworkFolder, random_id};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "network".to_owned());
    let network = NetworkFolder::open(Path::new(&dir))?;
    let anchor = network.anchor();
    let office = network.bank_office(BankId(1))?;

    let treasury = office.treasury().await?;
    println!("treasury {}", anchor.show(Amount::from_minor(treasury.available_minor)));
    println!("reserves {}", anchor.show(Amount::from_minor(treasury.reserves_minor)));

    let issued = office.request_issuance(IssuanceKind::Issue, anchor.parse("1000")?, random_id()).await?;
    println!("asked for 1000 more: {issued:?}");

    let alice = network.wallet("alice")?;
    let salary = anchor.parse("10")?;
    // The same request id again would change nothing: the bank answers a repeated request with its first answer.
    office.credit_deposit(alice.account(), salary, random_id()).await?;
    let position = alice.fund(salary, random_id()).await?.settled()?;
    println!("a salary of {} went to the wallet at {position}", anchor.show(salary));
    Ok(())
}
