//! Measures as they are typed: `holding-limit.household=2000`.

use cbdc_client::{Anchor, BankId, Class, Measure, MemberId, PolicyChange, Role};

use crate::exit::Usage;

/// What may be typed, for the help.
pub const MEASURES_HELP: &str = "\
Measures (amounts in major units, or none for no limit):
  supply-cap=AMOUNT               most CBDC in circulation
  issuance-quota=AMOUNT           most that a bank may be issued a day
  issuance-quota.bank-2=AMOUNT    the same for one bank
  holding-limit.CLASS=AMOUNT      most a person may hold, across banks
  payment-limit.CLASS=AMOUNT      most a single payment may move
  day-limit.CLASS=AMOUNT          most a person may pay a day
  threshold=2                     committee members who must approve
  dismiss=bank-2                  a member leaves
Classes: household, merchant, business, government, tier-1, tier-2, tier-3, visitor";

/// Reads one measure.
pub fn parse(anchor: &Anchor, text: &str) -> anyhow::Result<Measure> {
    let wrong =
        |why: String| Usage(format!("expected a measure such as holding-limit.household=2000, found `{text}`: {why}"));
    let (name, value) = text.split_once('=').ok_or_else(|| wrong("it has no =".to_owned()))?;
    let (name, of) = name.split_once('.').map_or((name, None), |(name, of)| (name, Some(of)));
    let amount = || match value {
        "none" => Ok(None),
        amount => anchor.parse(amount).map(Some).map_err(|error| wrong(error.to_string())),
    };
    let class = || {
        let class = of.ok_or_else(|| wrong(format!("name a class, as in {name}.household={value}")))?;
        class.parse::<Class>().map_err(wrong)
    };
    let change = match (name, of) {
        ("supply-cap", None) => PolicyChange::SupplyCap(amount()?),
        ("issuance-quota", None) => PolicyChange::IssuanceQuota(amount()?),
        ("issuance-quota", Some(bank)) => {
            let number = bank.strip_prefix("bank-").and_then(|number| number.parse().ok());
            let bank = number.ok_or_else(|| wrong(format!("expected a bank such as bank-2, found `{bank}`")))?;
            PolicyChange::IssuanceQuotaOfBank { bank: BankId(bank), quota: amount()? }
        }
        ("holding-limit", _) => PolicyChange::HoldingLimit { class: class()?, limit: amount()? },
        ("payment-limit", _) => PolicyChange::PaymentLimit { class: class()?, limit: amount()? },
        ("day-limit", _) => PolicyChange::DayLimit { class: class()?, limit: amount()? },
        ("threshold", None) => {
            let threshold =
                value.parse().map_err(|_| wrong(format!("expected a number of members, found `{value}`")))?;
            return Ok(Measure::Threshold(threshold));
        }
        ("dismiss", None) => {
            let member =
                value.rsplit_once('-').and_then(|(role, id)| Some((role.parse::<Role>().ok()?, id.parse().ok()?)));
            let (role, id) =
                member.ok_or_else(|| wrong(format!("expected a member such as bank-2, found `{value}`")))?;
            return Ok(Measure::DismissMember { role, id: MemberId(id) });
        }
        _ => return Err(wrong("there is no such parameter; see cbdc policy propose --help".to_owned()).into()),
    };
    Ok(Measure::Policy(change))
}

#[cfg(test)]
mod tests {
    use cbdc_client::Amount;
    use cbdc_simulator::network::{Network, NetworkSpec, Ports};

    use super::*;

    fn anchor() -> Anchor {
        let folder = tempfile::tempdir().unwrap();
        let spec = NetworkSpec { ports: Ports::Free, banks: 1, ..NetworkSpec::default() };
        let network = Network::create(&folder.path().join("net"), &spec).unwrap();
        network.anchor().as_ref().clone()
    }

    #[test]
    fn measures_are_read_exactly() {
        let anchor = anchor();
        let read = |text| parse(&anchor, text).unwrap();
        let limit = Some(Amount::from_minor(200_050));
        let class = Class::HOUSEHOLD;
        assert_eq!(
            read("holding-limit.household=2000.50"),
            Measure::Policy(PolicyChange::HoldingLimit { class, limit })
        );
        assert_eq!(read("supply-cap=none"), Measure::Policy(PolicyChange::SupplyCap(None)));
        assert_eq!(read("dismiss=central-bank-1"), Measure::DismissMember { role: Role::CentralBank, id: MemberId(1) });
        assert_eq!(read("threshold=2"), Measure::Threshold(2));
        let quota = Some(Amount::ZERO);
        assert_eq!(
            read("issuance-quota.bank-2=0"),
            Measure::Policy(PolicyChange::IssuanceQuotaOfBank { bank: BankId(2), quota })
        );
    }

    #[test]
    fn what_is_no_measure_is_refused_with_an_example() {
        let anchor = anchor();
        for text in [
            "",
            "supply-cap",
            "supply-cap=",
            "holding-limit=5",
            "holding-limit.houshold=5",
            "day-limit.household=1.001",
            "rate=3",
            "dismiss=bank",
            "issuance-quota.2=5",
        ] {
            let message = parse(&anchor, text).unwrap_err().to_string();
            assert!(message.contains("holding-limit.household=2000"), "{text}: {message}");
        }
    }
}
