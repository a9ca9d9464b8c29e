//! Governance: the policy in force, the balance sheet, and a proposal approved by two of three committee members.
//!
//! Start a network (`cbdc up network`), then in a second terminal:
//! `cargo run --release -p cbdc -p cbdc-client --example governance -- network`

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cbdc_client::{Amount, Choice, Class, GovernanceAction, MemberId, NetworkFolder, PolicyChange, Role, Timestamp};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "network".to_owned());
    let network = NetworkFolder::open(Path::new(&dir))?;
    let anchor = network.anchor();
    let governance = network.governance_reader().await?;

    let sheet = governance.balance_sheet().await?;
    println!("CBDC in circulation: {}", anchor.show(Amount::from_minor(sheet.cbdc_minor)));
    println!("policy version in force: {}", governance.policy(None).await?.version);

    let limit = GovernanceAction::Policy(PolicyChange::PaymentLimit {
        class: Class::HOUSEHOLD,
        limit: Some(anchor.parse("5000")?),
    });
    let now = Timestamp(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?);
    let first_member = network.governance(Role::Committee, MemberId(1))?;
    let proposed = first_member.propose(vec![limit], now, now.plus_ms(3_600_000)).await?;
    let (position, number) = proposed.result()?;
    println!("proposal {number} is at {position}");
    let second_member = network.governance(Role::Committee, MemberId(2))?;
    second_member.vote(number, Choice::Approve).await?.settled()?;

    tokio::time::sleep(Duration::from_secs(2)).await;
    println!("policy version in force: {}", governance.policy(None).await?.version);
    Ok(())
}
