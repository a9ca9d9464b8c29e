//! Money in a result: supply, balance sheets, holdings, deposits, the auditor's verdict.

use serde::{Deserialize, Serialize};

/// The currency of `_minor` figures; fixed by genesis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Currency {
    /// ISO 4217 code.
    pub code: String,
    /// Decimals of the major unit.
    pub exponent: u32,
}

impl Default for Currency {
    fn default() -> Self {
        Self { code: "EUR".to_owned(), exponent: 2 }
    }
}

/// The terms of I1 (`cbdc_ledger`): Σ wallets = issued − redeemed + reverse waterfall − waterfall + interest −
/// demurrage − fees to equity + unbacked + targeted − expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct SupplyTerms {
    /// Issued to banks against reserves.
    pub issued_minor: i64,
    /// Taken back against reserves.
    pub redeemed_minor: i64,
    /// Swept from wallets to bank deposits.
    pub waterfall_minor: i64,
    /// Drawn from bank deposits into wallets.
    pub reverse_waterfall_minor: i64,
    /// Interest posted to wallets.
    pub interest_minor: i64,
    /// Negative remuneration taken from wallets.
    pub demurrage_minor: i64,
    /// Fees to the central bank's equity.
    pub fees_minor: i64,
    /// Issued against equity.
    pub unbacked_minor: i64,
    /// Issued for a purpose.
    pub targeted_minor: i64,
    /// Purpose money that expired.
    pub expired_minor: i64,
    /// Σ of all wallets, treasuries included.
    pub wallets_minor: i64,
}

impl SupplyTerms {
    /// Issued − redeemed + … − expired: the expected sum of the wallets. `None` if the sum exceeds 64 bits.
    pub fn expected_minor(&self) -> Option<i64> {
        let sum: i128 = self.signed_terms().iter().map(|(_, minor)| i128::from(*minor)).sum();
        i64::try_from(sum).ok()
    }

    /// The terms with their signs in I1, in its order.
    pub fn signed_terms(&self) -> [(&'static str, i64); 10] {
        [
            ("Issued against reserves", self.issued_minor),
            ("Redeemed", -self.redeemed_minor),
            ("Reverse waterfall", self.reverse_waterfall_minor),
            ("Waterfall", -self.waterfall_minor),
            ("Interest", self.interest_minor),
            ("Demurrage", -self.demurrage_minor),
            ("Fees to equity", -self.fees_minor),
            ("Unbacked issuance", self.unbacked_minor),
            ("Targeted", self.targeted_minor),
            ("Expired", -self.expired_minor),
        ]
    }
}

/// The supply report at one time; each term is the sum since genesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct SupplySample {
    /// Seconds from the start of the load.
    pub at_s: u64,
    /// The terms.
    #[serde(flatten)]
    pub terms: SupplyTerms,
}

/// The central bank's balance sheet at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct BooksSample {
    /// Seconds from the start of the load.
    pub at_s: u64,
    /// Assets: securities at average cost.
    pub securities_minor: i64,
    /// Assets: loans to banks.
    pub loans_minor: i64,
    /// Liabilities: banknotes.
    pub banknotes_minor: i64,
    /// Liabilities: banks' reserves.
    pub reserves_minor: i64,
    /// Liabilities: deposit facility.
    pub deposit_facility_minor: i64,
    /// Liabilities: CBDC.
    pub cbdc_minor: i64,
    /// Liabilities: the government's account.
    pub government_minor: i64,
    /// Equity, signed.
    pub equity_minor: i64,
}

/// The holdings of a class at the end, against the limit then in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct ClassHoldings {
    /// The class.
    pub class: String,
    /// The holding limit; absent if there is none.
    pub limit_minor: Option<u64>,
    /// Holders with a wallet.
    pub holders: u64,
    /// Those who hold more than the limit.
    pub above_limit: u64,
    /// The sum of their holdings.
    pub total_minor: u64,
    /// The accrual of one ledger day at the rates last enacted, rounded towards zero; negative is demurrage.
    pub accrual_a_day_minor: i64,
    /// Holders by holdings.
    pub buckets: Vec<HoldingBucket>,
}

/// Holders within a range of holdings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct HoldingBucket {
    /// Holdings up to and including this; absent for the open bucket at the top.
    pub up_to_minor: Option<u64>,
    /// The number of holders.
    pub holders: u64,
}

/// A bank's deposits over the whole run, set-up included. I3: `after = before + credited + defunded + waterfall −
/// funded − reverse waterfall`, each including amounts in transit to wallets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct BankDeposits {
    /// On deposit and in transit before the set-up, as the bank reported it.
    pub before_minor: i64,
    /// Credited by the harness, as salaries would be.
    pub credited_minor: i64,
    /// Moved to wallets by settled fundings; from the audited chain, as are the next three.
    pub funded_minor: i64,
    /// Moved from wallets by settled defunds.
    pub defunded_minor: i64,
    /// Swept from wallets.
    pub waterfall_minor: i64,
    /// Drawn into wallets.
    pub reverse_waterfall_minor: i64,
    /// Moved by the waterfall since the load began.
    pub waterfall_in_load_minor: i64,
    /// Moved by the reverse waterfall since the load began.
    pub reverse_waterfall_in_load_minor: i64,
    /// The expected sum at the end.
    pub expected_minor: i64,
    /// On deposit and in transit at the end, as the bank reported it; absent if it could not be asked.
    pub after_minor: Option<i64>,
    /// The part of it in transit.
    pub in_transit_minor: Option<i64>,
    /// Whether the bank, read at the chain's tip, has the expected sum.
    pub agrees: bool,
    /// The reason why it could not be compared.
    pub note: Option<String>,
}

/// The auditor's verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct AuditVerdict {
    /// Whether chain, signatures, books and supply agree.
    pub ok: bool,
    /// Blocks examined.
    pub blocks: u64,
    /// Disagreements, as sentences.
    pub findings: Vec<String>,
}
