//! Actions of a governance proposal as they are typed: `holding-limit.household=2000`.

use cbdc_client::{Anchor, GovernanceAction, Parameters};
use cbdc_ledger::FormatVersion;
use cbdc_ledger::policy::text;

use super::{grant, member_file};
use crate::exit::Usage;

/// The actions that can be typed, for the help.
pub const ACTIONS_HELP: &str = "\
Parameters (amounts in major units, or none for no limit; values that are in force already are left out):
  supply-cap=AMOUNT               most CBDC in circulation
  issuance-quota=AMOUNT           most that a bank may be issued a day
  issuance-quota.bank-2=AMOUNT    the same for one bank
  holding-limit.CLASS=AMOUNT      most a holder may have, across banks
  payment-limit.CLASS=AMOUNT      most a single payment may move
  day-limit.CLASS=AMOUNT          most a holder may pay a day
  month-limit.CLASS=AMOUNT        most a holder may pay a calendar month
  velocity.CLASS=\"10 in 24 h\"     most payments in a rolling window (units ms, s, min, h, d)
  remuneration.CLASS=RATE         interest a year, also in tiers: \"0 % up to 3000, -1 % above\"
  capitalisation=monthly          when interest is posted: daily or monthly
  payer-fee.CLASS=FEES            \"0.10 + 0.5 % up to 100, 1 above, to payee-bank\"
  payee-fee.CLASS=FEES            the same, deducted from the credit
  policy-rate=RATE                also deposit-rate, lending-rate, penalty-rate
  reserves-rate-up-to=RATE        on reserves up to the requirement; also reserves-rate-above
  reserve-requirement=2%          share of reported deposits; also maintenance-period=DAYS
  shortfall-rate=RATE             on the reserves that a period lacks
  haircut=10%                     taken off the value of collateral
  work-per-block=4096             bound on the ledger's own work in a block
Other actions:
  grant=\"25.00 to household [first 100] [of bank-2]\"
                                  unbacked money for a cohort
  grant=\"25.00 to household from government for merchant,business until 2030-12-31T00:00:00Z\"
                                  purpose-bound money, out of government or equity
  bank-status=bank-2:suspended    active, suspended or resolved (which is final)
  move-customers=bank-2:bank-3    a resolved bank's customers, and what it has left, to another
  threshold=2                     committee members who must approve
  header-signatures=2             nodes of the central bank that must sign a header
  format-version=2                the chain's formats go on in this version, which nodes must know
  dismiss=bank-2                  a member leaves
  admit=bank-4:FILE               a member joins; FILE is TOML with name, signing_key and, of
                                  members that connect to nodes, node_key: 64 hex digits each
  replace-keys=bank-2:FILE        a member's new keys, FILE as above without name; without a
                                  node_key there is none then (now: cbdc policy members --json)
Classes: household, merchant, business, government, tier-1, tier-2, tier-3, visitor";

/// Reads the actions of a proposal: the changes from the parameters in force to those typed, then the other actions in
/// the order in which they were typed.
pub fn parse(anchor: &Anchor, in_force: &Parameters, typed: &[String]) -> Result<Vec<GovernanceAction>, Usage> {
    let exponent = anchor.genesis().currency_exponent;
    let mut wanted = in_force.clone();
    let mut names: Vec<&str> = Vec::new();
    let mut others = Vec::new();
    for one in typed {
        let wrong = |why: String| {
            Usage(format!("expected an action such as holding-limit.household=2000, found `{one}`: {why}"))
        };
        let (name, value) = one.split_once('=').ok_or_else(|| wrong("it has no =".to_owned()))?;
        if let Some(action) = other_action(anchor, name, value) {
            others.push(action.map_err(wrong)?);
            continue;
        }
        if names.contains(&name) {
            return Err(wrong(format!("{name} is named twice")));
        }
        names.push(name);
        let set = text::set(&mut wanted, name, value, exponent);
        set.map_err(|why| wrong(format!("{why}; see cbdc policy propose --help")))?;
    }
    if !wanted.is_sound() {
        let rule =
            "expected deposit-rate <= policy-rate <= lending-rate <= penalty-rate and a shortfall-rate from 0 on";
        return Err(Usage(format!("{rule}, found {}; also name the rates that must change with it", rates(&wanted))));
    }
    let changes = text::changes(in_force, &wanted).into_iter().map(GovernanceAction::Policy);
    let actions: Vec<GovernanceAction> = changes.chain(others).collect();
    if actions.is_empty() {
        return Err(Usage(format!("expected a change, found what is in force already: {}", names.join(", "))));
    }
    Ok(actions)
}

/// An action that sets no parameter.
fn other_action(anchor: &Anchor, name: &str, value: &str) -> Option<Result<GovernanceAction, String>> {
    Some(match name {
        "grant" => grant::parse(anchor, value).map(GovernanceAction::Grant),
        "bank-status" => bank_status(value),
        "move-customers" => move_customers(value),
        "threshold" => count(value, "members").map(GovernanceAction::Threshold),
        "header-signatures" => count(value, "nodes").map(GovernanceAction::HeaderSignatures),
        "format-version" => format_version(value),
        "dismiss" => dismissal(value),
        "admit" => member_file::admission(value),
        "replace-keys" => member_file::replacement(value),
        _ => return None,
    })
}

fn bank_status(value: &str) -> Result<GovernanceAction, String> {
    let wrong = || format!("expected a bank and its status, as in bank-2:suspended, found `{value}`");
    let (bank, status) = value.split_once(':').ok_or_else(wrong)?;
    Ok(GovernanceAction::BankStatus { bank: text::bank(bank)?, status: status.parse()? })
}

fn move_customers(value: &str) -> Result<GovernanceAction, String> {
    let wrong = || format!("expected the resolved bank and the new one, as in bank-2:bank-3, found `{value}`");
    let (from, to) = value.split_once(':').ok_or_else(wrong)?;
    Ok(GovernanceAction::MoveCustomers { from: text::bank(from)?, to: text::bank(to)? })
}

fn count(value: &str, of: &str) -> Result<u16, String> {
    value.parse().map_err(|_| format!("expected a number of {of}, found `{value}`"))
}

fn format_version(value: &str) -> Result<GovernanceAction, String> {
    let newest = FormatVersion::NEWEST;
    let version = value.parse().ok().and_then(FormatVersion::from_number);
    let version =
        version.ok_or_else(|| format!("expected a version of the formats up to {newest}, found `{value}`"))?;
    Ok(GovernanceAction::FormatVersion(version))
}

fn dismissal(value: &str) -> Result<GovernanceAction, String> {
    let (role, id) = member_file::member(value)?;
    Ok(GovernanceAction::DismissMember { role, id })
}

/// The proposed rates that bound each other.
fn rates(wanted: &Parameters) -> String {
    let (key, shortfall) = (&wanted.key_rates, wanted.reserves.shortfall_rate);
    let shown = [key.deposit, key.policy, key.lending, key.penalty].map(text::show_rate).join(" <= ");
    format!("{shown}, shortfall-rate {}", text::show_rate(shortfall))
}

#[cfg(test)]
pub mod tests {
    use cbdc_client::{Amount, BankId, BankStatus, Class, MemberId, PolicyChange, RatePpm, Role};
    use cbdc_devnet::{Network, NetworkSpec, Ports};

    use super::*;

    pub fn anchor() -> Anchor {
        let folder = tempfile::tempdir().unwrap();
        let spec = NetworkSpec { ports: Ports::Free, banks: 1, ..NetworkSpec::default() };
        let network = Network::create(&folder.path().join("net"), &spec).unwrap();
        network.anchor().as_ref().clone()
    }

    fn read(anchor: &Anchor, in_force: &Parameters, typed: &[&str]) -> Result<Vec<GovernanceAction>, String> {
        let typed: Vec<String> = typed.iter().map(|one| (*one).to_owned()).collect();
        parse(anchor, in_force, &typed).map_err(|Usage(why)| why)
    }

    #[test]
    fn actions_are_read_exactly() {
        let anchor = anchor();
        let one = |text| read(&anchor, &Parameters::default(), &[text]).map(|mut actions| actions.remove(0)).unwrap();
        let limit = Some(Amount::from_minor(200_050));
        let class = Class::HOUSEHOLD;
        assert_eq!(
            one("holding-limit.household=2000.50"),
            GovernanceAction::Policy(PolicyChange::HoldingLimit { class, limit })
        );
        assert_eq!(
            one("dismiss=central-bank-1"),
            GovernanceAction::DismissMember { role: Role::CentralBank, id: MemberId(1) }
        );
        assert_eq!(one("threshold=2"), GovernanceAction::Threshold(2));
        assert_eq!(one("header-signatures=2"), GovernanceAction::HeaderSignatures(2));
        assert_eq!(one("format-version=2"), GovernanceAction::FormatVersion(FormatVersion::Two));
        let quota = Some(Amount::ZERO);
        assert_eq!(
            one("issuance-quota.bank-2=0"),
            GovernanceAction::Policy(PolicyChange::IssuanceQuotaOfBank { bank: BankId(2), quota })
        );
        let status = BankStatus::Suspended;
        assert_eq!(one("bank-status=bank-2:suspended"), GovernanceAction::BankStatus { bank: BankId(2), status });
        let (from, to) = (BankId(2), BankId(3));
        assert_eq!(one("move-customers=bank-2:bank-3"), GovernanceAction::MoveCustomers { from, to });
        let GovernanceAction::Grant(grant) = one("grant=25.00 to household first 100 of bank-2") else {
            panic!("no grant")
        };
        assert_eq!((grant.cohort.first, grant.cohort.bank), (100, Some(BankId(2))));
    }

    #[test]
    fn only_what_differs_from_the_parameters_in_force_is_proposed() {
        let anchor = anchor();
        let mut in_force = Parameters { supply_cap: Some(Amount::from_minor(500)), ..Parameters::default() };
        in_force.key_rates.lending = RatePpm(30_000);
        in_force.key_rates.penalty = RatePpm(50_000);
        let rates = cbdc_ledger::policy::KeyRates { policy: RatePpm(20_000), ..in_force.key_rates };
        let actions = read(&anchor, &in_force, &["supply-cap=none", "policy-rate=2 %", "work-per-block=4096"]);
        let changes = [PolicyChange::SupplyCap(None), PolicyChange::KeyRates(rates)].map(GovernanceAction::Policy);
        assert_eq!(actions, Ok(changes.to_vec()));
        let message = read(&anchor, &in_force, &["supply-cap=5", "policy-rate=0"]).unwrap_err();
        assert!(message.contains("in force already: supply-cap, policy-rate"), "{message}");
    }

    #[test]
    fn rates_that_cannot_be_in_force_together_are_refused_before_they_are_proposed() {
        let message = read(&anchor(), &Parameters::default(), &["policy-rate=2%", "threshold=2"]).unwrap_err();
        assert!(message.contains("0 % <= 2 % <= 0 % <= 0 %"), "{message}");
        let together = ["policy-rate=2%", "lending-rate=2.5%", "penalty-rate=5%"];
        assert_eq!(read(&anchor(), &Parameters::default(), &together).map(|actions| actions.len()), Ok(1));
    }

    #[test]
    fn what_is_no_action_is_refused_with_an_example() {
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
            "admit=bank-4",
            "replace-keys=bank-2:/nowhere/at-all.toml",
            "threshold=most",
            "issuance-quota.2=5",
            "remuneration.household=1 % up to 5",
            "bank-status=bank-2",
            "bank-status=bank-2:closed",
            "move-customers=bank-2",
            "grant=25",
        ] {
            let message = read(&anchor, &Parameters::default(), &[text]).unwrap_err();
            assert!(message.contains("holding-limit.household=2000"), "{text}: {message}");
        }
        let twice = read(&anchor, &Parameters::default(), &["supply-cap=5", "supply-cap=6"]).unwrap_err();
        assert!(twice.contains("twice"), "{twice}");
    }
}
