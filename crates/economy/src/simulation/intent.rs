//! Intents: households' decisions for a day, before any money moves.

/// One thing that a household intends to do today.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intent {
    pub(super) household: u32,
    pub(super) kind: IntentKind,
    /// The firm, household or bank on the other side, by index; 0 if there is none.
    pub(super) payee: u32,
    pub(super) amount_minor: i64,
}

/// The kinds of intent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum IntentKind {
    /// Open a first wallet.
    Open,
    /// Move the deposit, and the wallet with it, to the bank given as the payee.
    Switch,
    /// Withdraw banknotes.
    Draw,
    /// Bring banknotes back to the bank.
    Return,
    /// Turn deposit money into CBDC.
    Fund,
    /// Turn CBDC into deposit money.
    Defund,
    /// Pay a firm or another household with an instrument.
    Pay { instrument: u8, is_to_person: bool },
}
