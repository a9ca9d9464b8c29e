//! Programmes: the committee's payments to cohorts, and their progress.

use cbdc_ledger::Ledger;
use cbdc_ledger::Timestamp;
use cbdc_ledger::programme::{Programme, Purpose};
use cbdc_proto::v1;

use super::page::Page;

/// A page of programmes. Linear in the number of wallets that hold purpose-bound money of those on the page.
pub fn list_programmes(ledger: &Ledger, page: &Page) -> v1::ListProgrammesResponse {
    let now = ledger.tip().time;
    let numbered = (1_u64..).zip(ledger.programmes().all()).collect::<Vec<_>>();
    let (programmes, next_page_token) = page.cut(numbered.into_iter().rev(), |(number, _)| *number);
    let message = |(number, programme): (u64, &Programme)| v1::Programme {
        outstanding_minor: ledger.programmes().outstanding(number).minor(),
        ..programme_to_message(number, programme, now)
    };
    v1::ListProgrammesResponse { programmes: programmes.into_iter().map(message).collect(), next_page_token }
}

fn programme_to_message(number: u64, programme: &Programme, now: Timestamp) -> v1::Programme {
    let grant = &programme.grant;
    let paid = u128::from(programme.paid) * u128::from(grant.amount_each.minor());
    v1::Programme {
        number,
        class: grant.cohort.class.to_string(),
        bank: grant.cohort.bank.map(|bank| u32::from(bank.0)),
        first: grant.cohort.first,
        amount_each_minor: grant.amount_each.minor(),
        purpose: grant.purpose.as_ref().map(purpose_to_message),
        state: state(programme, now).to_owned(),
        paid: programme.paid,
        refused: programme.refused,
        paid_minor: paid.to_string(),
        expired_minor: programme.expired.minor(),
        outstanding_minor: 0,
    }
}

fn purpose_to_message(purpose: &Purpose) -> v1::Purpose {
    v1::Purpose {
        payees: purpose.payees.iter().map(|class| class.to_string()).collect(),
        funding: purpose.funding.to_string(),
        expires_at_ms: purpose.expires_at.0,
    }
}

fn state(programme: &Programme, now: Timestamp) -> &'static str {
    let cohort = &programme.grant.cohort;
    let is_full = cohort.first != 0 && programme.paid >= cohort.first;
    match programme.grant.purpose {
        Some(purpose) if purpose.expires_at <= now => "expired",
        _ if is_full || programme.next_holder >= programme.end => "paid",
        _ => "paying",
    }
}
