//! A further node of the central bank: its keys, its configuration and its empty data folder, as an operator makes them
//! before the committee admits it.

use anyhow::{Context, Result};
use cbdc_client::{MemberId, NodeName, Role};
use cbdc_devnet::Network;
use cbdc_ledger::member::Member;

use crate::links::PORT_BASE;

/// Prepares it, after so many others.
pub fn prepare(network: &Network, others: u16) -> Result<Member> {
    let id = MemberId(others + 1);
    let first = network.config_path(NodeName::CentralBank(MemberId(1)));
    let config = network.config_path(NodeName::CentralBank(id));
    let folder = config.parent().context("a configuration is in a folder")?;
    let member = cbdc_devnet::make_keys(folder, Role::CentralBank, id, "A further node".to_owned())?;
    let text = std::fs::read_to_string(&first)?;
    let own = network.address(NodeName::CentralBank(MemberId(1)))?;
    let address = format!("127.0.0.1:{}", PORT_BASE + 200 + id.0);
    let text = text
        .replace("member = 1\ngenesis", &format!("member = {id}\ngenesis"))
        .replace(&format!("listen = \"{own}\""), &format!("listen = \"{address}\""))
        .replace("\n]\n", &format!("\n    {{ member = {id}, address = \"{address}\" }},\n]\njoin = true\n"));
    std::fs::write(&config, text)?;
    cbdc_central_bank::prepare_data_folder(&cbdc_central_bank::Config::load(&config)?, true)?;
    Ok(member)
}
