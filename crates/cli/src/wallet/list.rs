//! `cbdc wallet list`: the named wallets.

use cbdc_client::{ClientError, NetworkFolder, NodeName, WalletFile};
use clap::Args;
use serde_json::json;

use super::format::grouped;
use crate::exit::Told;
use crate::network::NetworkArgument;
use crate::output::{Output, money, table};

/// List the named wallets with their balances
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc wallet list
  cbdc wallet list --network mynet --json

Exit code 4 if a bank did not tell a wallet's balance.")]
pub struct List {
    #[command(flatten)]
    network: NetworkArgument,
}

impl List {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let wallets = balances(&network).await?;
        let objects: Vec<_> = wallets
            .iter()
            .map(|(file, available)| {
                json!({
                    "name": file.name,
                    "account": file.account.map(|account| account.to_string()),
                    "bank": file.bank.0,
                    "class": file.class.to_string(),
                    "available_minor": available,
                })
            })
            .collect();
        output.print(json!({ "wallets": objects }), || wallets_table(&network, &wallets));
        match wallets.iter().find(|(file, available)| file.account.is_some() && available.is_none()) {
            None => Ok(()),
            // The list tells it.
            Some((file, _)) => {
                let address = network.address(NodeName::Bank(file.bank))?.to_owned();
                Err(Told(ClientError::NoAnswer { address, reason: "it told no balance".to_owned() }).into())
            }
        }
    }
}

/// Every named wallet with its available money, if its bank answers.
pub async fn balances(network: &NetworkFolder) -> anyhow::Result<Vec<(WalletFile, Option<u64>)>> {
    let mut wallets = Vec::new();
    for file in network.wallet_files()? {
        let available = match file.account {
            Some(_) => network.wallet(&file.name)?.balance().await.ok().map(|balance| balance.available.minor()),
            None => None,
        };
        wallets.push((file, available));
    }
    Ok(wallets)
}

pub fn wallets_table(network: &NetworkFolder, wallets: &[(WalletFile, Option<u64>)]) -> String {
    if wallets.is_empty() {
        return "There is no wallet yet. Open one: cbdc wallet open NAME --bank 1".to_owned();
    }
    let row = |(file, available): &(WalletFile, Option<u64>)| {
        vec![
            file.name.clone(),
            file.account.map_or("not open yet".to_owned(), grouped),
            file.bank.to_string(),
            file.class.to_string(),
            available.map_or("no answer".to_owned(), |minor| money(network.anchor(), minor)),
        ]
    };
    table(&["wallet", "account", "bank", "class", ">available"], &wallets.iter().map(row).collect::<Vec<_>>())
}
