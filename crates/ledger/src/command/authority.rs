//! Authority: one table of command × role, used by the ledger and by every service.
//!
//! A command has one signer, whose role its kind determines, and only certain members may submit it over their
//! authenticated connection. A bank relays its customers' signed records; it cannot sign for them.

use super::any_command::Command;
use super::kind::Kind;
use super::record::Signer;
use crate::state::member::Role;
use crate::types::identity::BankId;

/// A row of the table.
pub struct Authority {
    /// The kind of command.
    pub kind: Kind,
    /// The signer's role; `None` is the wallet's holder.
    pub signed_by: Option<Role>,
    /// The roles whose connections may submit the command.
    pub submitted_by: &'static [Role],
    /// Whether a bank may submit it only for its own accounts, or if it has consented to it.
    pub own_bank_only: bool,
}

/// The table. Reading is open to every member; see the services.
pub const TABLE: [Authority; 36] = [
    row(Kind::Transfer, None, &[Role::Bank], true),
    row(Kind::Defund, None, &[Role::Bank], true),
    row(Kind::Fund, Some(Role::Bank), &[Role::Bank], true),
    row(Kind::Hold, None, &[Role::Bank], true),
    row(Kind::Capture, Some(Role::Bank), &[Role::Bank], true),
    row(Kind::Void, Some(Role::Bank), &[Role::Bank], true),
    row(Kind::ReverseWaterfall, Some(Role::Bank), &[Role::Bank], true),
    row(Kind::OpenWallet, Some(Role::Bank), &[Role::Bank], true),
    row(Kind::CloseWallet, Some(Role::Bank), &[Role::Bank], true),
    row(Kind::ReplaceKey, Some(Role::Bank), &[Role::Bank], true),
    row(Kind::LinkBank, None, &[Role::Bank], true),
    row(Kind::DesignateWallet, None, &[Role::Bank], true),
    row(Kind::MoveWallet, None, &[Role::Bank], true),
    row(Kind::Reclassify, Some(Role::Registrar), &[Role::Registrar], false),
    row(Kind::Issue, Some(Role::Operator), &[Role::Operator], false),
    row(Kind::Redeem, Some(Role::Operator), &[Role::Operator], false),
    row(Kind::ReservesTransfer, Some(Role::Bank), &[Role::Bank], true),
    row(Kind::WithdrawBanknotes, Some(Role::Operator), &[Role::Operator], false),
    row(Kind::DepositBanknotes, Some(Role::Operator), &[Role::Operator], false),
    row(Kind::CollectForGovernment, Some(Role::Operator), &[Role::Operator], false),
    row(Kind::PayFromGovernment, Some(Role::Operator), &[Role::Operator], false),
    row(Kind::BuySecurities, Some(Role::Operator), &[Role::Operator], false),
    row(Kind::SellSecurities, Some(Role::Operator), &[Role::Operator], false),
    row(Kind::PlaceDeposit, Some(Role::Operator), &[Role::Operator], false),
    row(Kind::Lend, Some(Role::Operator), &[Role::Operator], false),
    row(Kind::Refinance, Some(Role::Operator), &[Role::Operator], false),
    row(Kind::Pledge, Some(Role::Operator), &[Role::Operator], false),
    row(Kind::ReleaseCollateral, Some(Role::Operator), &[Role::Operator], false),
    row(Kind::RealiseCollateral, Some(Role::Operator), &[Role::Operator], false),
    row(Kind::WriteOffLoans, Some(Role::Operator), &[Role::Operator], false),
    row(Kind::DepositStatement, Some(Role::Bank), &[Role::Bank], true),
    row(Kind::Freeze, Some(Role::Court), &[Role::Court], false),
    row(Kind::Unfreeze, Some(Role::Court), &[Role::Court], false),
    row(Kind::Seize, Some(Role::Court), &[Role::Court], false),
    row(Kind::Propose, Some(Role::Committee), &[Role::Committee], false),
    row(Kind::Vote, Some(Role::Committee), &[Role::Committee], false),
];

const fn row(kind: Kind, signed_by: Option<Role>, submitted_by: &'static [Role], own_bank_only: bool) -> Authority {
    Authority { kind, signed_by, submitted_by, own_bank_only }
}

/// The row of a kind.
pub fn of(kind: Kind) -> &'static Authority {
    TABLE.iter().find(|row| row.kind == kind).expect("the table has a row for each kind; a test counts them")
}

/// Whether a command is a bank's own: signed by the bank or its customer, or with its consent to what a holder of
/// another bank asks for.
pub fn is_of_bank(command: &Command, bank: BankId) -> bool {
    match command.signer() {
        Signer::Holder(account) => {
            account.bank == bank || command.consented().is_some_and(|(statement, _)| statement.bank == bank)
        }
        Signer::Member(_, member) => member.0 == bank.0,
    }
}

/// Whether a member in `role` may submit commands of `kind`.
pub fn may_submit(role: Role, kind: Kind) -> bool {
    of(kind).submitted_by.contains(&role)
}

/// Whether the command's signer has the role that the table requires.
pub fn is_signed_by_the_right_role(command: &Command) -> bool {
    match (of(command.kind()).signed_by, command.signer()) {
        (None, Signer::Holder(_)) => true,
        (Some(role), Signer::Member(found, _)) => role == found,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_row() {
        for kind in Kind::ALL {
            assert_eq!(TABLE.iter().filter(|row| row.kind == kind).count(), 1, "{kind:?}");
        }
    }

    #[test]
    fn auditors_submit_nothing_and_registrars_only_classes() {
        for kind in Kind::ALL {
            assert!(!may_submit(Role::Auditor, kind));
            assert_eq!(may_submit(Role::Registrar, kind), kind == Kind::Reclassify);
        }
    }
}
