//! Grants as they are typed: `25.00 to household first 100 of bank-2`; with a purpose:
//! `25.00 to household from government for merchant,business until 2026-12-31T00:00:00Z`.

use cbdc_client::{Anchor, Class, Grant, LedgerDay, Timestamp};
use cbdc_ledger::policy::text;
use cbdc_ledger::programme::{Classes, Cohort, Funding, Purpose};

/// Reads a grant. After amount and class come clauses in any order, each at most once; a purpose needs all three of
/// `from`, `for` and `until`.
pub fn parse(anchor: &Anchor, text: &str) -> Result<Grant, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [amount, "to", class, clauses @ ..] = words.as_slice() else {
        return Err("expected an amount and a class, as in 25.00 to household".to_owned());
    };
    let amount_each = anchor.parse(amount).map_err(|error| error.to_string())?;
    let mut cohort = Cohort { class: class.parse()?, bank: None, first: 0 };
    let (mut funding, mut payees, mut expires_at) = (None, None, None);
    let mut seen: Vec<&str> = Vec::new();
    for clause in clauses.chunks(2) {
        let [word, value] = clause else { return Err(format!("expected a value after `{}`, found none", clause[0])) };
        if seen.contains(word) {
            return Err(format!("expected `{word}` once, found it twice"));
        }
        seen.push(word);
        match *word {
            "first" => cohort.first = first(value)?,
            "of" => cohort.bank = Some(text::bank(value)?),
            "from" => funding = Some(value.parse::<Funding>()?),
            "for" => payees = Some(classes(value)?),
            "until" => expires_at = Some(moment(anchor, value)?),
            _ => return Err(format!("expected first, of, from, for or until, found `{word}`")),
        }
    }
    let purpose = match (funding, payees, expires_at) {
        (None, None, None) => None,
        (Some(funding), Some(payees), Some(expires_at)) => Some(Purpose { expires_at, payees, funding }),
        _ => {
            return Err("expected from, for and until together for purpose-bound money, or none of them".to_owned());
        }
    };
    Ok(Grant { cohort, amount_each, purpose })
}

fn first(text: &str) -> Result<u32, String> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| format!("expected a number of holders, at least 1, found `{text}`"))
}

fn classes(text: &str) -> Result<Classes, String> {
    let classes: Result<Vec<Class>, String> = text.split(',').map(str::parse).collect();
    classes.map(Classes::of)
}

/// Reads a time in UTC, `2026-12-31T00:00:00Z`, or a date, which means the beginning of that ledger day.
fn moment(anchor: &Anchor, text: &str) -> Result<Timestamp, String> {
    let wrong = || format!("expected a time such as 2026-12-31T00:00:00Z, or a date, found `{text}`");
    let Some((date, time)) = text.split_once('T') else {
        let day: LedgerDay = text.parse().map_err(|_| wrong())?;
        return Ok(day.start(anchor.genesis().day_offset_minutes));
    };
    let day: LedgerDay = date.parse().map_err(|_| wrong())?;
    let parts: Vec<&str> = time.strip_suffix('Z').ok_or_else(wrong)?.split(':').collect();
    let number = |text: &str, end: u64| {
        let is_plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u64>().ok().filter(|number| is_plain && *number < end).ok_or_else(wrong)
    };
    let [hour, minute, second] = parts.as_slice() else { return Err(wrong()) };
    let seconds = number(hour, 24)? * 3_600 + number(minute, 60)? * 60 + number(second, 60)?;
    Ok(day.start(0).plus_ms(seconds * 1_000))
}

#[cfg(test)]
mod tests {
    use cbdc_client::{Amount, BankId};

    use super::super::action::tests::anchor;
    use super::*;

    #[test]
    fn grants_are_read_exactly() {
        let anchor = anchor();
        let amount_each = Amount::from_minor(2_500);
        let cohort = Cohort { class: Class::HOUSEHOLD, bank: Some(BankId(2)), first: 100 };
        for text in ["25 to household first 100 of bank-2", " 25.00  to household of bank-2 first 100 "] {
            assert_eq!(parse(&anchor, text), Ok(Grant { cohort, amount_each, purpose: None }));
        }
        let purpose = Purpose {
            expires_at: Timestamp(1_798_675_199_000),
            payees: Classes::of([Class::MERCHANT, Class::BUSINESS]),
            funding: Funding::Government,
        };
        let cohort = Cohort { class: Class::HOUSEHOLD, bank: None, first: 0 };
        let text = "25.00 to household from government for merchant,business until 2026-12-30T23:59:59Z";
        assert_eq!(parse(&anchor, text), Ok(Grant { cohort, amount_each, purpose: Some(purpose) }));
        let midnight = parse(&anchor, "1 to household until 2026-12-31 for merchant from equity").unwrap();
        assert_eq!(
            midnight.purpose.unwrap().expires_at,
            Timestamp(1_798_675_200_000),
            "the ledger's days are UTC's here"
        );
    }

    #[test]
    fn what_is_no_grant_is_refused_with_what_was_expected() {
        let anchor = anchor();
        for text in [
            "",
            "25",
            "25 for household",
            "25.001 to household",
            "25 to houshold",
            "25 to household first",
            "25 to household first 0",
            "25 to household of 2",
            "25 to household of bank-1 of bank-2",
            "25 to household by tomorrow",
            "25 to household from government",
            "25 to household from taxes for merchant until 2026-12-31",
            "25 to household from government for merchants until 2026-12-31",
            "25 to household from government for merchant until 2026-02-30",
            "25 to household from government for merchant until 2026-12-31T24:00:00Z",
            "25 to household from government for merchant until 2026-12-31T0:00:00Z",
            "25 to household from government for merchant until 2026-12-31T00:00:00",
        ] {
            let message = parse(&anchor, text).unwrap_err();
            assert!(message.contains("expected"), "{text}: {message}");
        }
    }
}
