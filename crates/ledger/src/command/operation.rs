//! The operations desk's transactions with banks: banknotes, government payments, market and credit operations,
//! collateral; and a bank's signed statement of its deposits.

use super::kind::Kind;
use super::record::{Head, Record};
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::types::amount::{Amount, RatePpm};
use crate::types::identity::{BankId, MemberId};
use crate::types::time::LedgerDay;

/// The kinds of operations, with their entries in the central bank's books.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum OperationKind {
    /// The bank withdraws banknotes: Dr reserves, Cr banknotes.
    WithdrawBanknotes,
    /// The bank returns banknotes: Dr banknotes, Cr reserves.
    DepositBanknotes,
    /// The bank pays the government for a customer (taxes): Dr reserves, Cr government.
    CollectForGovernment,
    /// The government pays a customer of the bank: Dr government, Cr reserves.
    PayFromGovernment,
    /// Buys securities of that nominal amount: Dr securities, Cr reserves at nominal × price.
    BuySecurities,
    /// Sells securities of that nominal amount: Dr reserves, Cr securities at average cost, the difference to equity.
    SellSecurities,
    /// An overnight deposit on the deposit facility: Dr reserves, Cr deposit facility.
    PlaceDeposit,
    /// An overnight loan on the lending facility: Dr loans, Cr reserves.
    Lend,
    /// A refinancing operation at its own rate until its maturity: Dr loans, Cr reserves.
    Refinance,
    /// Registers pledged collateral, at market value.
    Pledge,
    /// Returns pledged collateral.
    ReleaseCollateral,
    /// Takes a resolved bank's collateral over at market value: Dr securities, Cr loans.
    RealiseCollateral,
    /// Writes off the debt of a resolved bank without reserves and collateral: Dr equity, Cr loans.
    WriteOffLoans,
}

impl OperationKind {
    /// Every operation.
    pub const ALL: [OperationKind; 13] = [
        OperationKind::WithdrawBanknotes,
        OperationKind::DepositBanknotes,
        OperationKind::CollectForGovernment,
        OperationKind::PayFromGovernment,
        OperationKind::BuySecurities,
        OperationKind::SellSecurities,
        OperationKind::PlaceDeposit,
        OperationKind::Lend,
        OperationKind::Refinance,
        OperationKind::Pledge,
        OperationKind::ReleaseCollateral,
        OperationKind::RealiseCollateral,
        OperationKind::WriteOffLoans,
    ];

    /// The kind of the record.
    pub fn kind(self) -> Kind {
        match self {
            OperationKind::WithdrawBanknotes => Kind::WithdrawBanknotes,
            OperationKind::DepositBanknotes => Kind::DepositBanknotes,
            OperationKind::CollectForGovernment => Kind::CollectForGovernment,
            OperationKind::PayFromGovernment => Kind::PayFromGovernment,
            OperationKind::BuySecurities => Kind::BuySecurities,
            OperationKind::SellSecurities => Kind::SellSecurities,
            OperationKind::PlaceDeposit => Kind::PlaceDeposit,
            OperationKind::Lend => Kind::Lend,
            OperationKind::Refinance => Kind::Refinance,
            OperationKind::Pledge => Kind::Pledge,
            OperationKind::ReleaseCollateral => Kind::ReleaseCollateral,
            OperationKind::RealiseCollateral => Kind::RealiseCollateral,
            OperationKind::WriteOffLoans => Kind::WriteOffLoans,
        }
    }

    /// The operation of a kind of record; `None` for another kind.
    pub fn of(kind: Kind) -> Option<OperationKind> {
        OperationKind::ALL.into_iter().find(|operation| operation.kind() == kind)
    }

    /// Whether it settles the debt of a resolved bank; every other operation is for banks that are not resolved.
    pub fn is_resolution(self) -> bool {
        matches!(self, OperationKind::RealiseCollateral | OperationKind::WriteOffLoans)
    }

    fn is_market_operation(self) -> bool {
        matches!(self, OperationKind::BuySecurities | OperationKind::SellSecurities)
    }
}

/// Operator (2), bank (2), price (4), amount (8), rate (4), maturity (4). 48 bytes in all. A field that the kind does
/// not use is zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operation {
    /// The kind of operation.
    pub kind: OperationKind,
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The operator who signs.
    pub operator: MemberId,
    /// The bank.
    pub bank: BankId,
    /// Minor units; the nominal amount for securities.
    pub amount: Amount,
    /// The price of a market operation, in ppm of the nominal amount (1,000,000 is par).
    pub price_ppm: u32,
    /// The yearly rate of a refinancing operation.
    pub rate: RatePpm,
    /// The ledger day at whose beginning a refinancing operation is repaid.
    pub matures: LedgerDay,
}

/// The bank's statement of its customers' deposits: bank (2), reserved (6), deposits (8). 40 bytes in all. The average
/// of the statements in force at the ends of a maintenance period's days is the base of the next period's requirement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DepositStatement {
    /// Flags, key version, sequence number and validity.
    pub head: Head,
    /// The bank.
    pub bank: BankId,
    /// The sum of the customers' deposits.
    pub deposits: Amount,
}

impl Record for Operation {
    fn kind(&self) -> Kind {
        self.kind.kind()
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn encode_fields(&self, out: &mut Writer) {
        out.u16(self.operator.0).u16(self.bank.0).u32(self.price_ppm).u64(self.amount.minor());
        out.u32(self.rate.0 as u32).u32(self.matures.0);
    }

    fn decode_fields(kind: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = OperationKind::of(kind).ok_or_else(|| input.wrong("the kind of an operation", kind as u64))?;
        let (operator, bank, price_ppm) = (MemberId(input.u16()?), BankId(input.u16()?), input.u32()?);
        let amount = Amount::from_minor(input.u64()?);
        let (rate, matures) = (RatePpm(input.u32()? as i32), LedgerDay(input.u32()?));
        if !kind.is_market_operation() && price_ppm != 0 {
            return Err(input.wrong("price 0 where nothing is bought or sold", u64::from(price_ppm)));
        }
        if kind != OperationKind::Refinance && (rate.0 != 0 || matures.0 != 0) {
            return Err(input.wrong("rate and maturity 0 where nothing is refinanced", u64::from(matures.0)));
        }
        Ok(Operation { kind, head, operator, bank, amount, price_ppm, rate, matures })
    }
}

impl Record for DepositStatement {
    fn kind(&self) -> Kind {
        Kind::DepositStatement
    }

    fn head(&self) -> &Head {
        &self.head
    }

    fn encode_fields(&self, out: &mut Writer) {
        out.u16(self.bank.0).reserved(6).u64(self.deposits.minor());
    }

    fn decode_fields(_: Kind, head: Head, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bank = BankId(input.u16()?);
        input.reserved(6)?;
        Ok(DepositStatement { head, bank, deposits: Amount::from_minor(input.u64()?) })
    }
}
