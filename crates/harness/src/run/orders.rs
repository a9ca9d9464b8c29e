//! Events that concern single wallets and banks: a court's orders, the registrar's classes, issuance and deposit
//! reports of a bank's back office.

use anyhow::{Context, Result, bail};
use cbdc_client::bank_office::IssuanceAnswer;
use cbdc_client::{
    AccountId, Amount, Class, ClientError, IssuanceKind, NetworkFolder, Role, SubmissionStatus, random_id,
};
use futures::StreamExt;

use super::committee::bank_id;
use super::setup::holder_of;
use crate::scenario::{Chosen, NodeName, OrderFigures, Scenario};

/// Orders that are in flight at once.
const AT_ONCE: usize = 64;

/// A court's order on a wallet.
#[derive(Clone, Copy)]
pub enum Order {
    Freeze,
    Unfreeze,
    Seize { to: AccountId },
}

/// The wallets that an order concerns, by index.
fn wallets_of(scenario: &Scenario, chosen: Chosen) -> Vec<u32> {
    match chosen {
        Chosen::One { wallet } => vec![wallet],
        Chosen::OfClass { class, count } => {
            let of_class = (0..scenario.wallets.count).filter(|wallet| scenario.class_of(*wallet) == class);
            of_class.take(if count == 0 { usize::MAX } else { count as usize }).collect()
        }
    }
}

/// Submits the order for each wallet, except the wallet that is paid. Returns how many settled, in words; fails if none
/// did.
pub async fn order(
    scenario: &Scenario,
    folder: &NetworkFolder,
    accounts: &[AccountId],
    figures: &OrderFigures,
    order: Order,
) -> Result<String> {
    let court = folder.acting(Role::Court).await?;
    let (amount, number) = (Amount::from_minor(figures.amount_minor), random_id());
    let accounts = wallets_of(scenario, figures.wallets).into_iter().map(|wallet| accounts[wallet as usize]);
    let accounts: Vec<AccountId> =
        accounts.filter(|account| !matches!(order, Order::Seize { to } if to == *account)).collect();
    let make = |account| {
        let court = court.clone();
        async move {
            match order {
                Order::Freeze => court.freeze(account, amount, number).await,
                Order::Unfreeze => court.unfreeze(account, amount, number).await,
                Order::Seize { to } => court.seize(account, amount, to, Amount::ZERO, number).await,
            }
        }
    };
    let statuses: Vec<Result<SubmissionStatus, ClientError>> =
        futures::stream::iter(accounts.into_iter().map(make)).buffered(AT_ONCE).collect().await;
    let (mut settled, mut taken, mut failure) = (0, 0_u64, None);
    let count = statuses.len();
    for status in statuses {
        match status.and_then(SubmissionStatus::result) {
            Ok((_, result)) => {
                settled += 1;
                taken = taken.saturating_add(result);
            }
            Err(error) => drop(failure.get_or_insert(error)),
        }
    }
    let seized = match order {
        Order::Seize { .. } => format!("; {taken} minor units taken at once, the rest is a lien"),
        _ => String::new(),
    };
    match failure {
        None => Ok(format!("{settled} wallets{seized}")),
        Some(error) if settled == 0 => Err(error).context(format!("none of {count} wallets")),
        Some(error) => Ok(format!("{settled} of {count} wallets{seized}; first refusal: {error}")),
    }
}

/// Moves a wallet's holder to another class.
pub async fn reclassify(scenario: &Scenario, folder: &NetworkFolder, wallet: u32, class: Class) -> Result<()> {
    let registrar = folder.acting(Role::Registrar).await?;
    registrar.reclassify(holder_of(scenario.seed, wallet), class).await?.settled()?;
    Ok(())
}

/// Has a bank report its deposits.
pub async fn report_deposits(folder: &NetworkFolder, node: NodeName) -> Result<String> {
    let (status, stated) = folder.bank_office(bank_id(node))?.report_deposits().await?;
    status.settled()?;
    Ok(format!("{} minor units reported", stated.minor()))
}

/// Has a bank request issuance or redemption.
pub async fn issuance(folder: &NetworkFolder, node: NodeName, kind: IssuanceKind, amount_minor: u64) -> Result<()> {
    let office = folder.bank_office(bank_id(node))?;
    match office.request_issuance(kind, Amount::from_minor(amount_minor), random_id()).await? {
        IssuanceAnswer::Ordered(status) => {
            status.settled()?;
        }
        IssuanceAnswer::Waiting => bail!("the request waits for an operator; it was expected to be ordered at once"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wallets_of_a_class_are_chosen_in_order_of_their_index() {
        let scenario = Scenario::parse("test.toml", "test", "", &[]).expect("defaults are valid");
        let merchants = wallets_of(&scenario, Chosen::OfClass { class: Class::MERCHANT, count: 0 });
        assert_eq!(merchants.len() as u64, *scenario.wallets_by_class().get(Class::MERCHANT));
        let first = wallets_of(&scenario, Chosen::OfClass { class: Class::MERCHANT, count: 7 });
        assert_eq!(first, merchants[..7]);
        assert_eq!(wallets_of(&scenario, Chosen::One { wallet: 3 }), [3]);
    }
}
