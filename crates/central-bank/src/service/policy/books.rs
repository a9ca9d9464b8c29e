//! The central bank's books as members read them: balance sheet, supply, aggregates, profit and loss.

use cbdc_ledger::amount::RatePpm;
use cbdc_ledger::bank_position::{BankPosition, BankStatus, Loan};
use cbdc_ledger::books::{BookAccount, Income};
use cbdc_ledger::member::Role;
use cbdc_ledger::policy::Parameters;
use cbdc_ledger::policy::reserves::after_haircut;
use cbdc_ledger::{Account, AccountId, BankId, Class, Ledger, MemberId};
use cbdc_proto::v1;

pub fn balance_sheet(ledger: &Ledger) -> v1::BalanceSheet {
    let books = ledger.books();
    v1::BalanceSheet {
        height: ledger.height().0,
        time_ms: ledger.tip().time.0,
        securities_minor: balance(ledger, BookAccount::Securities),
        banknotes_minor: balance(ledger, BookAccount::Banknotes),
        cbdc_minor: balance(ledger, BookAccount::Cbdc),
        offline_minor: balance(ledger, BookAccount::Offline),
        government_minor: balance(ledger, BookAccount::Government),
        equity_minor: books.equity().to_string(),
        banks: ledger.banks().map(|bank| bank_books(ledger, bank)).collect(),
        securities_nominal_minor: books.securities_nominal().minor(),
        unposted_interest_minor: None,
        unposted_demurrage_minor: None,
    }
}

/// The balance sheet, with the interest not yet posted to wallets. Linear in the number of wallets.
pub fn balance_sheet_with_unposted_interest(ledger: &Ledger) -> v1::BalanceSheet {
    let (interest, demurrage) = ledger.unposted_interest();
    v1::BalanceSheet {
        unposted_interest_minor: Some(interest.to_string()),
        unposted_demurrage_minor: Some(demurrage.to_string()),
        ..balance_sheet(ledger)
    }
}

/// An account of the books other than equity, which alone may be below zero.
fn balance(ledger: &Ledger, account: BookAccount) -> u64 {
    u64::try_from(ledger.books().balance(account)).unwrap_or_default()
}

fn bank_books(ledger: &Ledger, bank: BankId) -> v1::BankBooks {
    let own = ledger.books().bank(bank);
    let no_position = BankPosition::default();
    let position = ledger.positions().bank(bank).unwrap_or(&no_position);
    let seat = ledger.members().seat(Role::Bank, MemberId(bank.0));
    let parameters = ledger.parameters();
    let (_, period_days) = ledger.positions().maintenance_period();
    let requirement = ledger.positions().requirement(bank);
    v1::BankBooks {
        bank: u32::from(bank.0),
        name: seat.map(|seat| seat.member.name.clone()).unwrap_or_default(),
        loans_minor: own.loans.minor(),
        reserves_minor: own.reserves.minor(),
        deposit_facility_minor: own.deposit_facility.minor(),
        treasury_minor: treasury(ledger, bank),
        issued_today_minor: ledger.issued_today(bank).minor(),
        status: position.status.to_string(),
        overdue: position.is_overdue(),
        collateral_minor: position.collateral.minor(),
        collateral_after_haircut_minor: after_haircut(position.collateral, parameters.haircut_ppm).minor(),
        loans: position.loans.iter().map(|loan| loan_to_message(loan, position, parameters)).collect(),
        deposits_reported_minor: position.deposits_reported.minor(),
        requirement_minor: if period_days == 0 { 0 } else { requirement.minor() },
    }
}

fn treasury(ledger: &Ledger, bank: BankId) -> u64 {
    ledger.account(AccountId::treasury(bank)).map_or(0, |account| account.available.minor())
}

fn loan_to_message(loan: &Loan, position: &BankPosition, parameters: &Parameters) -> v1::Loan {
    let rate = match position.status {
        // Its loans no longer accrue.
        BankStatus::Resolved => Some(RatePpm(0)),
        _ if loan.overdue => Some(parameters.key_rates.penalty),
        _ => loan.rate,
    };
    v1::Loan {
        principal_minor: loan.principal.minor(),
        rate_ppm: rate.map(|rate| rate.0),
        matures: loan.matures.to_string(),
        overdue: loan.overdue,
    }
}

pub fn supply(ledger: &Ledger) -> v1::Supply {
    let terms = ledger.supply().named();
    v1::Supply {
        height: ledger.height().0,
        cbdc_minor: ledger.books().cbdc().minor(),
        terms: (terms.iter())
            .map(|(name, term)| v1::SupplyTerm { name: (*name).to_owned(), amount_minor: term.minor() })
            .collect(),
        wallets: ledger.wallet_count() as u64,
        holders: ledger.holder_count() as u64,
    }
}

/// Base money, and the CBDC by its holders. Linear in the number of wallets.
pub fn aggregates(ledger: &Ledger) -> v1::Aggregates {
    let books = ledger.books();
    let mut classes: Vec<v1::CbdcParts> = Class::all().map(|class| no_parts(class.to_string())).collect();
    let mut banks = Vec::new();
    for bank in ledger.banks() {
        let mut of_bank = no_parts(format!("bank-{bank}"));
        of_bank.treasury_minor = treasury(ledger, bank);
        for (id, account) in ledger.wallets_of(bank).filter(|(_, account)| account.open) {
            add(&mut of_bank, account);
            let class = ledger.holder_of(id).map(|holder| holder.class.index());
            if let Some(of_class) = class.and_then(|class| classes.get_mut(class)) {
                add(of_class, account);
            }
        }
        banks.push(of_bank);
    }
    let reserves: u128 = books.banks().map(|(_, own)| u128::from(own.reserves.minor())).sum();
    let deposit_facility: u128 = books.banks().map(|(_, own)| u128::from(own.deposit_facility.minor())).sum();
    let money = [BookAccount::Banknotes, BookAccount::Cbdc, BookAccount::Offline];
    let [banknotes, cbdc, offline] = money.map(|account| balance(ledger, account));
    let m0 = u128::from(banknotes) + reserves + deposit_facility + u128::from(cbdc) + u128::from(offline);
    v1::Aggregates {
        height: ledger.height().0,
        time_ms: ledger.tip().time.0,
        m0_minor: m0.to_string(),
        banknotes_minor: banknotes,
        reserves_minor: reserves.to_string(),
        deposit_facility_minor: deposit_facility.to_string(),
        cbdc_minor: cbdc,
        offline_minor: offline,
        classes,
        banks,
        open_holds: ledger.holds().open().count() as u64,
    }
}

fn no_parts(name: String) -> v1::CbdcParts {
    v1::CbdcParts { name, ..v1::CbdcParts::default() }
}

/// Adds a wallet. All wallets together hold no more than the books' CBDC, so no sum exceeds 64 bits.
fn add(parts: &mut v1::CbdcParts, account: &Account) {
    parts.wallets += 1;
    parts.available_minor += account.available.minor();
    parts.held_minor += account.held.minor();
    parts.locked_minor += account.locked.minor();
    parts.earmarked_minor += account.earmarked.minor();
}

pub fn profit_and_loss(ledger: &Ledger) -> v1::ProfitAndLoss {
    let books = ledger.books();
    let total: i128 = Income::ALL.iter().map(|income| books.income(*income)).sum();
    let item = |income: &Income| v1::IncomeItem {
        name: income.name().to_owned(),
        amount_minor: books.income(*income).to_string(),
    };
    v1::ProfitAndLoss {
        height: ledger.height().0,
        time_ms: ledger.tip().time.0,
        opening_equity_minor: (books.equity() - total).to_string(),
        items: Income::ALL.iter().map(item).collect(),
        total_minor: total.to_string(),
        equity_minor: books.equity().to_string(),
    }
}
