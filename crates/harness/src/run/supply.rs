//! The terms of the supply, as the central bank reports them.

use std::collections::BTreeMap;

use anyhow::Result;
use cbdc_client::{NetworkFolder, v1};

use crate::result::SupplyTerms;

/// The terms now.
pub(super) async fn now(folder: &NetworkFolder) -> Result<SupplyTerms> {
    Ok(terms_of(&folder.governance_reader().await?.supply().await?))
}

/// The terms of a supply report.
pub(super) fn terms_of(supply: &v1::Supply) -> SupplyTerms {
    terms(supply.terms.iter().map(|term| (term.name.as_str(), term.amount_minor)), supply.cbdc_minor)
}

/// The terms of these names and amounts.
pub(super) fn terms<'a>(terms: impl Iterator<Item = (&'a str, u64)>, wallets_minor: u64) -> SupplyTerms {
    let terms: BTreeMap<&str, u64> = terms.collect();
    let term = |name: &str| i64::try_from(terms.get(name).copied().unwrap_or(0)).unwrap_or(i64::MAX);
    SupplyTerms {
        issued_minor: term("issued"),
        redeemed_minor: term("redeemed"),
        waterfall_minor: term("waterfall"),
        reverse_waterfall_minor: term("reverse_waterfall"),
        interest_minor: term("interest"),
        demurrage_minor: term("demurrage"),
        fees_minor: term("fees"),
        unbacked_minor: term("unbacked"),
        targeted_minor: term("targeted"),
        expired_minor: term("expired"),
        wallets_minor: i64::try_from(wallets_minor).unwrap_or(i64::MAX),
    }
}
