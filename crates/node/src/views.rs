//! Messages made from a ledger: wallets, quotes, holds. A bank answers its customers with them from its replica, and
//! the central bank answers the banks with partial replicas.

use cbdc_ledger::hold::Hold;
use cbdc_ledger::policy::remuneration::capitalise;
use cbdc_ledger::{AccountId, Amount, Ledger, Outcome, Reason, Timestamp};
use cbdc_proto::convert::account;
use cbdc_proto::status::{invalid, of_refusal};
use cbdc_proto::v1;
use cbdc_proto::wall_clock::wall_clock;
use tonic::Status;

/// Holds on a page, by default and at most.
const HOLDS_PAGE: (u32, u32) = (50, 500);

/// The probable time of the next block: this machine's clock, but never before the last block.
pub fn probable_time(tip: Timestamp) -> Timestamp {
    wall_clock().max(tip)
}

/// A wallet as of today.
pub fn wallet(ledger: &Ledger, id: AccountId) -> Option<v1::Wallet> {
    let account = ledger.account_today(id).filter(|_| !id.is_treasury())?;
    let holder = ledger.holder_of(id)?;
    let (accrued, _) = match account.open {
        true => capitalise(account.accrued, ledger.genesis().day_count),
        false => (0, 0),
    };
    Some(v1::Wallet {
        account: id.to_string(),
        class: holder.class.to_string(),
        posted_minor: u64::try_from(account.posted()).unwrap_or(u64::MAX),
        available_minor: account.spendable().minor(),
        held_minor: account.held.minor(),
        frozen_minor: account.frozen.minor(),
        next_sequence: account.window.lowest_unused(),
        key_version: account.key_version,
        public_key: ledger.key(id)?.0.to_vec().into(),
        open: account.open,
        height: ledger.height().0,
        earmarked_minor: account.earmarked.minor(),
        earmarks: earmarks(ledger, id),
        claim_minor: Some(ledger.claim_on(id).unwrap_or_default().minor()),
        accrued_interest_minor: accrued.clamp(i64::MIN.into(), i64::MAX.into()) as i64,
        linked_bank: u32::from(account.linked_bank.0),
        has_allowance: account.has_allowance,
        moved_to: account.moved_to().map_or_else(String::new, |moved| moved.to_string()),
        accepted_minor: 0,
    })
}

fn earmarks(ledger: &Ledger, id: AccountId) -> Vec<v1::Earmark> {
    let marks = ledger.programmes().earmarks_of(id).filter_map(|(programme, earmark)| {
        let purpose = ledger.programmes().get(programme)?.grant.purpose?;
        Some(v1::Earmark {
            programme,
            amount_minor: earmark.amount.minor(),
            held_minor: earmark.held.minor(),
            expires_at_ms: purpose.expires_at.0,
            payee_classes: purpose.payees.iter().map(|class| class.to_string()).collect(),
        })
    });
    marks.collect()
}

/// The costs of a transfer and whether it would settle now.
pub fn quote(ledger: &Ledger, from: AccountId, request: &v1::QuoteTransferRequest) -> Result<v1::Quote, Status> {
    let to = account("to", &request.to)?;
    let amount = Amount::from_minor(request.amount_minor);
    let max_fee = request.max_fee_minor.map_or(Amount::MAX, Amount::from_minor);
    if ledger.open_wallet(from).is_none() {
        return Err(of_refusal(&Outcome::refused(Reason::UnknownAccount, 0, 0)));
    }
    let quoted = ledger.quote(from, to, amount, max_fee, probable_time(ledger.tip().time));
    Ok(v1::Quote {
        fee_minor: quoted.fee.minor(),
        would_settle: quoted.outcome.is_settled(),
        reason: quoted.outcome.reason.name().to_owned(),
        limit: quoted.outcome.limit,
        height: ledger.height().0,
        payee_fee_minor: quoted.payee_fee.minor(),
        amount_minor: quoted.outcome.amount,
    })
}

/// A page of the open holds on a wallet.
pub fn holds(ledger: &Ledger, of: AccountId, request: &v1::ListHoldsRequest) -> Result<v1::ListHoldsResponse, Status> {
    let size = match request.page_size {
        0 => HOLDS_PAGE.0,
        size if size <= HOLDS_PAGE.1 => size,
        size => return Err(invalid("page_size", format!("expected at most {}, found {size}", HOLDS_PAGE.1))),
    } as usize;
    // A token is the number of the last hold shown.
    let after: u64 = match request.page_token.as_str() {
        "" => 0,
        token => token.parse().map_err(|_| invalid("page_token", "expected it as the last answer gave it"))?,
    };
    let holds: Vec<v1::OpenHold> =
        ledger.holds().of_wallet(of, after).take(size).map(|(number, hold)| entry(ledger, number, hold)).collect();
    let next_page_token = match holds.last() {
        Some(last) if holds.len() == size => last.hold.to_string(),
        _ => String::new(),
    };
    Ok(v1::ListHoldsResponse { holds, next_page_token })
}

fn entry(ledger: &Ledger, number: u64, hold: &Hold) -> v1::OpenHold {
    v1::OpenHold {
        hold: number,
        from: hold.payer.to_string(),
        to: ledger.moved_to(hold.payee).unwrap_or(hold.payee).to_string(),
        maximum_minor: hold.maximum.minor(),
        max_fee_minor: hold.max_fee.minor(),
        expires_at_ms: hold.expires_at.0,
    }
}
