//! `cbdc policy operate`: the central bank's operations with banks.

use cbdc_client::{BankId, LedgerDay, OperationKind, RatePpm, Role};
use cbdc_ledger::policy::text::{self, show_rate};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde_json::json;

use crate::exit::Usage;
use crate::network::NetworkArgument;
use crate::output::{Output, fields};

/// Make an operation with a bank, as the operator: banknotes, government, securities, facilities, collateral
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc policy operate withdraw-banknotes 5000 --bank 1
  cbdc policy operate buy-securities 1000000 --bank 1 --price 99.5
  cbdc policy operate pledge 200000 --bank 1
  cbdc policy operate lend 5000 --bank 1
  cbdc policy operate refinance 100000 --bank 1 --rate 2.5 --matures 2030-01-07")]
pub struct Operate {
    #[arg(value_parser = kinds(), value_name = "KIND")]
    kind: OperationKind,
    /// Major units, such as 5000; for securities the nominal amount
    amount: String,
    /// The bank concerned
    #[arg(long, value_name = "N")]
    bank: u16,
    /// For securities: percent of the nominal amount, such as 99.5
    #[arg(long, value_name = "PERCENT")]
    price: Option<String>,
    /// For refinancing: percent a year, such as 2.5
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    rate: Option<String>,
    /// For refinancing: the date at whose beginning it is repaid
    #[arg(long, value_name = "DATE")]
    matures: Option<String>,
    #[command(flatten)]
    network: NetworkArgument,
}

/// The terms of an operation apart from bank and amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Terms {
    None,
    Price { ppm: u32 },
    Loan { rate: RatePpm, matures: LedgerDay },
}

impl Operate {
    pub async fn run(self, output: &Output) -> anyhow::Result<()> {
        let network = self.network.open()?;
        let anchor = network.anchor().clone();
        let (kind, bank, amount, terms) = (self.kind, BankId(self.bank), anchor.parse(&self.amount)?, self.terms()?);
        let governance = network.acting(Role::Operator).await?;
        let status = match terms {
            Terms::None => governance.operate(kind, bank, amount).await?,
            Terms::Price { ppm } if kind == OperationKind::BuySecurities => {
                governance.buy_securities(bank, amount, ppm).await?
            }
            Terms::Price { ppm } => governance.sell_securities(bank, amount, ppm).await?,
            Terms::Loan { rate, matures } => governance.refinance(bank, amount, rate, matures).await?,
        };
        let position = status.settled()?;
        let (price_ppm, rate_ppm, matures) = match terms {
            Terms::None => (None, None, None),
            Terms::Price { ppm } => (Some(ppm), None, None),
            Terms::Loan { rate, matures } => (None, Some(rate.0), Some(matures.to_string())),
        };
        let object = json!({
            "kind": kind.kind().name(),
            "bank": bank.0,
            "amount_minor": amount.minor(),
            "price_ppm": price_ppm,
            "rate_ppm": rate_ppm,
            "matures": matures,
            "height": position.height.0,
            "index": position.index,
        });
        output.print(object, || {
            let mut rows = vec![(kind.kind().name(), anchor.show(amount)), ("bank", bank.to_string())];
            match terms {
                Terms::None => {}
                Terms::Price { ppm } => rows.push(("price", self.price.unwrap_or_else(|| format!("{ppm} ppm")))),
                Terms::Loan { rate, matures } => rows.push(("terms", format!("{} until {matures}", show_rate(rate)))),
            }
            rows.push(("position", position.to_string()));
            fields(&rows)
        });
        Ok(())
    }

    /// Reads the terms that the kind needs, all of them and no others.
    fn terms(&self) -> Result<Terms, Usage> {
        let kind = self.kind.kind().name();
        match (self.kind, &self.price, &self.rate, &self.matures) {
            (OperationKind::BuySecurities | OperationKind::SellSecurities, Some(price), None, None) => price_ppm(price),
            (OperationKind::BuySecurities | OperationKind::SellSecurities, ..) => {
                Err(Usage(format!("expected --price alone for {kind}, as in --price 99.5")))
            }
            (OperationKind::Refinance, None, Some(rate), Some(matures)) => {
                let rate = text::rate(rate).map_err(Usage)?;
                Ok(Terms::Loan { rate, matures: matures.parse().map_err(Usage)? })
            }
            (OperationKind::Refinance, ..) => {
                Err(Usage(format!("expected --rate and --matures for {kind}, as in --rate 2.5 --matures 2030-01-07")))
            }
            (_, None, None, None) => Ok(Terms::None),
            _ => Err(Usage(format!("expected neither --price, --rate nor --matures for {kind}"))),
        }
    }
}

fn price_ppm(text: &str) -> Result<Terms, Usage> {
    let ppm = text::rate(text).ok().and_then(|share| u32::try_from(share.0).ok()).filter(|ppm| *ppm > 0);
    let wrong = || Usage(format!("expected a price in percent of the nominal amount, such as 99.5, found `{text}`"));
    ppm.map(|ppm| Terms::Price { ppm }).ok_or_else(wrong)
}

/// The kinds by name, each with its effect.
fn kinds() -> impl TypedValueParser<Value = OperationKind> {
    let names = OperationKind::ALL.map(|kind| PossibleValue::new(kind.kind().name()).help(effect(kind)));
    PossibleValuesParser::new(names).map(|name| {
        let kind = OperationKind::ALL.into_iter().find(|kind| kind.kind().name() == name);
        kind.expect("only the names above come through")
    })
}

fn effect(kind: OperationKind) -> &'static str {
    match kind {
        OperationKind::WithdrawBanknotes => "the bank draws banknotes on its reserves",
        OperationKind::DepositBanknotes => "the bank brings banknotes back",
        OperationKind::CollectForGovernment => "the bank pays the government for a customer (taxes)",
        OperationKind::PayFromGovernment => "the government pays a customer of the bank",
        OperationKind::BuySecurities => "buy securities of a nominal amount at --price",
        OperationKind::SellSecurities => "sell securities of a nominal amount at --price",
        OperationKind::PlaceDeposit => "a night on the deposit facility",
        OperationKind::Lend => "a night on the lending facility, against collateral",
        OperationKind::Refinance => "lend at --rate until --matures, against collateral",
        OperationKind::Pledge => "note pledged collateral at market value",
        OperationKind::ReleaseCollateral => "give pledged collateral back",
        OperationKind::RealiseCollateral => "take a resolved bank's collateral over at market value",
        OperationKind::WriteOffLoans => "write off what a resolved bank owes, with nothing left to recover",
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        operate: Operate,
    }

    fn terms(line: &str) -> Result<Terms, String> {
        let words = std::iter::once("operate").chain(line.split(' '));
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        line.operate.terms().map_err(|Usage(why)| why)
    }

    #[test]
    fn each_kind_takes_the_terms_that_it_needs() {
        for kind in OperationKind::ALL.map(|kind| kind.kind().name()) {
            let plain = terms(&format!("{kind} 5 --bank 1"));
            let priced = terms(&format!("{kind} 5 --bank 1 --price 99.5"));
            let lent = terms(&format!("{kind} 5 --bank 1 --rate -0.25 --matures 2030-01-07"));
            let accepted = [plain.is_ok(), priced.is_ok(), lent.is_ok()];
            let expected = match kind {
                "buy-securities" | "sell-securities" => [false, true, false],
                "refinance" => [false, false, true],
                _ => [true, false, false],
            };
            assert_eq!(accepted, expected, "{kind}");
        }
        assert_eq!(terms("buy-securities 5 --bank 1 --price 99.5"), Ok(Terms::Price { ppm: 995_000 }));
        let matures: LedgerDay = "2030-01-07".parse().unwrap();
        let loan = Terms::Loan { rate: RatePpm(-2_500), matures };
        assert_eq!(terms("refinance 5 --bank 1 --rate -0.25 --matures 2030-01-07"), Ok(loan));
    }

    #[test]
    fn what_is_no_operation_or_no_term_is_refused() {
        for line in [
            "transfer 5 --bank 1",
            "lend 5",
            "buy-securities 5 --bank 1 --price 0",
            "buy-securities 5 --bank 1 --price=-1",
            "refinance 5 --bank 1 --rate 2.5 --matures 2030-02-30",
            "refinance 5 --bank 1 --rate high --matures 2030-01-07",
        ] {
            assert!(terms(line).is_err(), "{line}");
        }
    }
}
