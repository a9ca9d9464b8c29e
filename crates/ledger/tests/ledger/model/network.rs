//! A small network for tests: a genesis with named, deterministic keys, and a ledger driven by short calls.
//!
//! ```ignore
//! let mut network = Network::build(|genesis| genesis.validity_ms_max = 60_000);
//! let alice = network.open(1, "alice", Class::HOUSEHOLD);
//! network.fund(alice, 500);
//! let outcome = network.settle(network.transfer(alice, shop, 200));
//! ```
//!
//! Members: nodes, operator, registrar and court are number 0 of their roles; committee seats are 0, 1, 2 with a
//! threshold of 2; banks are 1, 2, 3 with [`RESERVES`] each. A key is the one of [`key`] of its owner's name, such as
//! `committee-2`, `bank-1`, `wallet of alice at 1`. Records have signatures of zeros unless [`Network::sign`] makes
//! them: `apply` trusts its own log, which keeps tests of rules quick.

use cbdc_ledger::amount::RatePpm;
use cbdc_ledger::bank_position::BankStatus;
use cbdc_ledger::books::Books;
use cbdc_ledger::command::{
    Ballot, BankConsent, Certificate, CertifiedFor, Choice, CloseWallet, ConsentStatement, DepositStatement,
    DesignateWallet, FLAG_REVERSE_WATERFALL, FreezeKind, FreezeOrder, GovernanceAction, GovernanceProposal, Head,
    IssuanceKind, IssuanceOrder, IssuanceRequest, Kind, LinkBank, MoveWallet, OpenWallet, Operation, OperationKind,
    Payment, PaymentKind, PlaceHold, Reclassify, Record, ReleaseHold, ReleaseKind, ReplaceKey, ReservesTransfer,
    ReverseWaterfall, SeizeOrder, Signer, Statement,
};
use cbdc_ledger::genesis::{DayCount, opening_books};
use cbdc_ledger::member::{Member, Role};
use cbdc_ledger::policy::{
    Capitalisation, FeeBracket, FeeSchedule, FeeTo, Parameters, PolicyChange, Tier, Tiers, VelocityRule,
};
use cbdc_ledger::time::LedgerDay;
use cbdc_ledger::{
    AccountId, Amount, BankId, Block, Class, Command, FormatVersion, Genesis, HolderId, Ledger, MemberId, NetworkId,
    Outcome, Signature, Signed, SigningKey, Timestamp, VerifiedProposal,
};
use cbdc_signatures::BatchSeed;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// 2026-11-23T00:00:00 UTC, a midnight of the ledger's day in the default genesis.
pub const START: Timestamp = Timestamp(20_780 * DAY_MS);
pub const DAY_MS: u64 = 86_400_000;
pub const HOUR_MS: u64 = 3_600_000;
/// Each bank's opening reserves, minor units.
pub const RESERVES: u64 = 100_000;
pub const BANKS: [u16; 3] = [1, 2, 3];
pub const UNSIGNED: Signature = Signature([0; 64]);

/// The key pair of a name; the same name always has the same.
pub fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(*blake3::hash(name.as_bytes()).as_bytes())
}

/// The pseudonym of a holder.
pub fn holder(name: &str) -> HolderId {
    let mut id = [0; 16];
    id.copy_from_slice(&blake3::hash(name.as_bytes()).as_bytes()[..16]);
    HolderId(id)
}

pub fn amount(minor: u64) -> Amount {
    Amount::from_minor(minor)
}

pub fn account(bank: u16, serial: u32) -> AccountId {
    AccountId::new(BankId(bank), serial)
}

/// The name of a member, which is also the name of its key.
pub fn member_name(role: Role, id: u16) -> String {
    match role {
        // The fixtures pin signatures of a court of this name.
        Role::Court => format!("order-{id}"),
        _ => format!("{role}-{id}"),
    }
}

pub fn member(role: Role, id: u16) -> Member {
    let name = member_name(role, id);
    let (signing_key, node_key) = (key(&name).public_key(), Some(key(&format!("node of {name}")).public_key()));
    Member { role, id: MemberId(id), name, signing_key, node_key }
}

/// The default genesis.
pub fn genesis() -> Genesis {
    let mut members: Vec<Member> = [Role::CentralBank, Role::Operator, Role::Registrar, Role::Court, Role::Auditor]
        .map(|role| member(role, 0))
        .into();
    members.extend([0, 1, 2].map(|seat| member(Role::Committee, seat)));
    members.extend(BANKS.map(|bank| member(Role::Bank, bank)));
    Genesis {
        format: FormatVersion::One,
        currency: *b"XTS",
        currency_exponent: 2,
        day_count: DayCount::Actual365,
        day_offset_minutes: 0,
        created_at: START,
        validity_ms_max: DAY_MS,
        header_signatures: 1,
        threshold: 2,
        members,
        books: books_with_reserves(RESERVES),
        policy: Parameters::default(),
    }
}

/// An opening balance sheet in which each bank has `reserves`.
pub fn books_with_reserves(reserves: u64) -> Books {
    let of_banks = BANKS.map(|bank| (BankId(bank), amount(reserves)));
    opening_books(of_banks, amount(5_000), amount(1_000)).expect("the opening balance sheet fits")
}

/// Encodes commands into a block proposal, with the signatures that they have.
pub fn proposal(time: Timestamp, commands: &[Command]) -> Vec<u8> {
    let mut bytes = vec![1, 0, 0, 0];
    bytes.extend((commands.len() as u32).to_le_bytes());
    bytes.extend(time.0.to_le_bytes());
    commands.iter().for_each(|command| bytes.extend(command.to_bytes()));
    bytes
}

/// Applies commands, as a node does with those in its own log.
pub fn apply(ledger: &mut Ledger, time: Timestamp, commands: &[Command]) -> Block {
    let bytes = proposal(time, commands);
    ledger.apply(&VerifiedProposal::from_own_log(&bytes).expect("a proposal that was just encoded decodes"))
}

/// A ledger and its clock.
pub struct Network {
    pub ledger: Ledger,
    pub now: Timestamp,
}

impl Network {
    /// The default genesis after `change`.
    pub fn build(change: impl FnOnce(&mut Genesis)) -> Network {
        let mut genesis = genesis();
        change(&mut genesis);
        let now = genesis.created_at;
        Network { ledger: Ledger::new(genesis).expect("the genesis is valid"), now }
    }

    pub fn id(&self) -> NetworkId {
        self.ledger.network()
    }

    /// A head with the signer's key version and lowest unused number, valid for an hour (or less, as genesis allows).
    pub fn head(&self, signer: Signer) -> Head {
        let (key_version, sequence) = match signer {
            Signer::Holder(id) => {
                self.ledger.account(id).map_or((0, 1), |account| (account.key_version, account.window.lowest_unused()))
            }
            Signer::Member(role, id) => self
                .ledger
                .members()
                .seat(role, id)
                .map_or((0, 1), |seat| (seat.key_version, seat.window.lowest_unused())),
        };
        let validity_ms = HOUR_MS.min(self.ledger.genesis().validity_ms_max);
        Head { flags: 0, key_version, sequence, valid_until: self.now.plus_ms(validity_ms) }
    }

    pub fn member_head(&self, role: Role, id: u16) -> Head {
        self.head(Signer::Member(role, MemberId(id)))
    }

    fn payment(&self, kind: PaymentKind, head: Head, from: AccountId, to: AccountId, minor: u64) -> Payment {
        Payment { kind, head, from, to, amount: amount(minor), max_fee: Amount::ZERO, reference: *b"sixteen bytes ok" }
    }

    pub fn transfer(&self, from: AccountId, to: AccountId, minor: u64) -> Payment {
        self.payment(PaymentKind::Transfer, self.head(Signer::Holder(from)), from, to, minor)
    }

    pub fn defunding(&self, from: AccountId, minor: u64) -> Payment {
        self.payment(PaymentKind::Defund, self.head(Signer::Holder(from)), from, AccountId::treasury(from.bank), minor)
    }

    pub fn funding(&self, to: AccountId, minor: u64) -> Payment {
        let head = self.member_head(Role::Bank, to.bank.0);
        self.payment(PaymentKind::Fund, head, AccountId::treasury(to.bank), to, minor)
    }

    pub fn opening(&self, bank: u16, name: &str, class: Class) -> OpenWallet {
        let secret = key(&format!("wallet of {name} at {bank}"));
        let (key, holder, bank) = (secret.public_key(), holder(name), BankId(bank));
        let statement =
            Statement { purpose: CertifiedFor::Open(bank), holder, class, key, valid_until: self.in_a_day() };
        let (certificate, agreement) = self.certified(&statement, &secret);
        OpenWallet { head: self.member_head(Role::Bank, bank.0), bank, class, holder, key, certificate, agreement }
    }

    fn in_a_day(&self) -> Timestamp {
        self.now.plus_ms(DAY_MS)
    }

    /// The registrar's certificate and the holder's agreement, really signed.
    pub fn certified(&self, statement: &Statement, holders_key: &SigningKey) -> (Certificate, Signature) {
        let version = self.ledger.members().seat(Role::Registrar, MemberId(0)).map_or(0, |seat| seat.key_version);
        let certificate = statement.certify(self.id(), MemberId(0), version, &key("registrar-0"));
        (certificate, statement.agree(self.id(), &certificate, holders_key))
    }

    pub fn closing(&self, account: AccountId) -> CloseWallet {
        CloseWallet { head: self.member_head(Role::Bank, account.bank.0), account }
    }

    /// Replaces a wallet's key by the one named `key_name`.
    pub fn replacing(&self, account: AccountId, key_name: &str) -> ReplaceKey {
        let secret = key(key_name);
        let holder = self.ledger.holder_of(account).expect("the wallet exists");
        let version = self.ledger.account(account).expect("the wallet exists").key_version;
        let (purpose, key) = (CertifiedFor::ReplaceKey { account, version }, secret.public_key());
        let (holder, class, valid_until) = (holder.id, holder.class, self.in_a_day());
        let statement = Statement { purpose, holder, class, key, valid_until };
        let (certificate, agreement) = self.certified(&statement, &secret);
        let head = self.member_head(Role::Bank, account.bank.0);
        ReplaceKey { head, account, class, version, key, certificate, agreement }
    }

    pub fn issuance(&self, kind: IssuanceKind, bank: u16, minor: u64) -> IssuanceOrder {
        let head = self.member_head(Role::Bank, bank);
        let record = IssuanceRequest { kind, head, bank: BankId(bank), amount: amount(minor) };
        let head = self.member_head(Role::Operator, 0);
        IssuanceOrder { head, operator: MemberId(0), request: Signed { record, signature: UNSIGNED } }
    }

    /// A hold of `minor` and no fee, which expires in an hour.
    pub fn hold(&self, from: AccountId, to: AccountId, minor: u64) -> PlaceHold {
        PlaceHold {
            head: self.head(Signer::Holder(from)),
            from,
            to,
            maximum: amount(minor),
            max_fee: Amount::ZERO,
            expires_at: self.now.plus_ms(HOUR_MS),
            reference: *b"sixteen bytes ok",
        }
    }

    pub fn capture(&self, bank: u16, hold: u64, minor: u64) -> ReleaseHold {
        let head = self.member_head(Role::Bank, bank);
        ReleaseHold { kind: ReleaseKind::Capture, head, bank: BankId(bank), hold, amount: amount(minor) }
    }

    pub fn void(&self, bank: u16, hold: u64) -> ReleaseHold {
        let head = self.member_head(Role::Bank, bank);
        ReleaseHold { kind: ReleaseKind::Void, head, bank: BankId(bank), hold, amount: Amount::ZERO }
    }

    /// A transfer of the payer that `bank` tops up by at most `maximum`.
    pub fn reverse_waterfall(&self, bank: u16, maximum: u64, transfer: Payment) -> ReverseWaterfall {
        let head = Head { flags: FLAG_REVERSE_WATERFALL, ..transfer.head };
        let transfer = Signed { record: Payment { head, ..transfer }, signature: UNSIGNED };
        ReverseWaterfall {
            head: self.member_head(Role::Bank, bank),
            bank: BankId(bank),
            maximum: amount(maximum),
            transfer,
        }
    }

    /// Bank 0 revokes.
    pub fn link(&self, account: AccountId, bank: u16) -> LinkBank {
        let bank = BankId(bank);
        let consent = (bank != BankId(0)).then(|| self.consent(Kind::LinkBank, account, bank));
        LinkBank { head: self.head(Signer::Holder(account)), account, bank, consent }
    }

    /// A wallet's move to a bank that consents.
    pub fn moving(&self, account: AccountId, bank: u16) -> MoveWallet {
        let bank = BankId(bank);
        let consent = self.consent(Kind::MoveWallet, account, bank);
        MoveWallet { head: self.head(Signer::Holder(account)), account, bank, consent }
    }

    /// A bank's consent, really signed.
    fn consent(&self, kind: Kind, account: AccountId, bank: BankId) -> BankConsent {
        let version = self.ledger.members().seat(Role::Bank, MemberId(bank.0)).map_or(0, |seat| seat.key_version);
        let statement = ConsentStatement { kind, bank, account, valid_until: self.in_a_day() };
        statement.sign(self.id(), version, &key(&format!("bank-{bank}")))
    }

    pub fn designation(&self, account: AccountId) -> DesignateWallet {
        DesignateWallet { head: self.head(Signer::Holder(account)), account }
    }

    pub fn reclassification(&self, name: &str, class: Class) -> Reclassify {
        let head = self.member_head(Role::Registrar, 0);
        Reclassify { head, registrar: MemberId(0), class, holder: holder(name) }
    }

    pub fn seizure(&self, account: AccountId, minor: u64, to: AccountId) -> SeizeOrder {
        let head = self.member_head(Role::Court, 0);
        SeizeOrder {
            head,
            court: MemberId(0),
            account,
            amount: amount(minor),
            to,
            released: amount(0),
            order: *b"order number one",
        }
    }

    /// An operation at par, without rate and maturity.
    pub fn operation(&self, kind: OperationKind, bank: u16, minor: u64) -> Operation {
        let at_par = matches!(kind, OperationKind::BuySecurities | OperationKind::SellSecurities);
        Operation {
            kind,
            head: self.member_head(Role::Operator, 0),
            operator: MemberId(0),
            bank: BankId(bank),
            amount: amount(minor),
            price_ppm: if at_par { 1_000_000 } else { 0 },
            rate: RatePpm(0),
            matures: LedgerDay(0),
        }
    }

    pub fn refinancing(&self, bank: u16, minor: u64, rate_ppm: i32, matures: LedgerDay) -> Operation {
        Operation { rate: RatePpm(rate_ppm), matures, ..self.operation(OperationKind::Refinance, bank, minor) }
    }

    pub fn statement(&self, bank: u16, minor: u64) -> DepositStatement {
        let head = self.member_head(Role::Bank, bank);
        DepositStatement { head, bank: BankId(bank), deposits: amount(minor) }
    }

    pub fn reserves_transfer(&self, from: u16, to: u16, minor: u64) -> ReservesTransfer {
        ReservesTransfer {
            head: self.member_head(Role::Bank, from),
            from: BankId(from),
            to: BankId(to),
            amount: amount(minor),
        }
    }

    pub fn order(&self, kind: FreezeKind, account: AccountId, minor: u64) -> FreezeOrder {
        let head = self.member_head(Role::Court, 0);
        FreezeOrder { kind, head, court: MemberId(0), account, amount: amount(minor), order: *b"order number one" }
    }

    /// A proposal of committee seat 0, effective now, which expires in a day.
    pub fn proposal(&self, actions: Vec<GovernanceAction>) -> GovernanceProposal {
        GovernanceProposal {
            head: self.member_head(Role::Committee, 0),
            member: MemberId(0),
            effective_at: self.now,
            expires_at: self.now.plus_ms(DAY_MS),
            actions,
        }
    }

    pub fn ballot(&self, seat: u16, approve: bool, proposal: u64) -> Ballot {
        let choice = if approve { Choice::Approve } else { Choice::Reject };
        Ballot { head: self.member_head(Role::Committee, seat), member: MemberId(seat), choice, proposal }
    }

    /// A block of commands with signatures of zeros.
    pub fn block(&mut self, commands: &[Command]) -> Block {
        let block = apply(&mut self.ledger, self.now, commands);
        self.ledger.check_invariants().expect("the invariants hold after every block");
        block
    }

    /// A block of one record.
    pub fn settle<R>(&mut self, record: R) -> Outcome
    where
        Command: From<Signed<R>>,
    {
        self.block(&[unsigned(record)]).outcomes[0]
    }

    /// A block of one record that must settle; returns its result.
    pub fn must_settle<R>(&mut self, record: R) -> u64
    where
        Command: From<Signed<R>>,
    {
        let outcome = self.settle(record);
        assert!(outcome.is_settled(), "{outcome}");
        outcome.amount
    }

    pub fn wait(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
    }

    /// Opens a wallet of a holder.
    pub fn open(&mut self, bank: u16, name: &str, class: Class) -> AccountId {
        let id = self.must_settle(self.opening(bank, name, class));
        AccountId::from_u64(id).expect("the result of opening is an account id")
    }

    /// Issues to the wallet's bank and funds the wallet.
    pub fn fund(&mut self, wallet: AccountId, minor: u64) {
        self.must_settle(self.issuance(IssuanceKind::Issue, wallet.bank.0, minor));
        self.must_settle(self.funding(wallet, minor));
    }

    /// Enacts actions by the votes of seats 0 and 1, at once.
    pub fn enact(&mut self, actions: Vec<GovernanceAction>) {
        let number = self.must_settle(self.proposal(actions));
        self.must_settle(self.ballot(1, true, number));
        assert_eq!(self.block(&[]).changes.proposals_closed, [number]);
    }

    pub fn available(&self, account: AccountId) -> u64 {
        self.ledger.account(account).expect("the account exists").available.minor()
    }

    /// Signs a record with the key of `name`.
    pub fn sign<R: Record>(&self, record: R, name: &str) -> Command
    where
        Command: From<Signed<R>>,
    {
        record.sign(self.id(), &key(name)).into()
    }
}

// Measures.

/// Tiers as (bound, rate in ppm), and the rate above all bounds.
pub fn tiers(bounded: &[(u64, i32)], above_ppm: i32) -> Tiers {
    let tier = |(up_to, rate): &(u64, i32)| Tier { up_to: amount(*up_to), rate: RatePpm(*rate) };
    let bounded: Vec<Tier> = bounded.iter().map(tier).collect();
    Tiers::new(&bounded, RatePpm(above_ppm)).expect("at most three tiers with ascending bounds")
}

pub fn remuneration(class: Class, bounded: &[(u64, i32)], above_ppm: i32) -> GovernanceAction {
    GovernanceAction::Policy(PolicyChange::Remuneration { class, tiers: tiers(bounded, above_ppm) })
}

pub fn capitalisation(capitalisation: Capitalisation) -> GovernanceAction {
    GovernanceAction::Policy(PolicyChange::Capitalisation(capitalisation))
}

/// Brackets as (bound, flat part, share in ppm).
pub fn fees(to: FeeTo, brackets: &[(u64, u64, u32)]) -> FeeSchedule {
    let bracket = |(up_to, flat, share_ppm): &(u64, u64, u32)| FeeBracket {
        up_to: amount(*up_to),
        flat: amount(*flat),
        share_ppm: *share_ppm,
    };
    let brackets: Vec<FeeBracket> = brackets.iter().map(bracket).collect();
    FeeSchedule::new(to, &brackets).expect("at most four brackets with ascending bounds")
}

pub fn payer_fee(class: Class, to: FeeTo, brackets: &[(u64, u64, u32)]) -> GovernanceAction {
    GovernanceAction::Policy(PolicyChange::PayerFee { class, schedule: fees(to, brackets) })
}

pub fn payee_fee(class: Class, to: FeeTo, brackets: &[(u64, u64, u32)]) -> GovernanceAction {
    GovernanceAction::Policy(PolicyChange::PayeeFee { class, schedule: fees(to, brackets) })
}

pub fn velocity(class: Class, payments: u16, window_ms: u64) -> GovernanceAction {
    GovernanceAction::Policy(PolicyChange::Velocity { class, rule: Some(VelocityRule { payments, window_ms }) })
}

pub fn bank_status(bank: u16, status: BankStatus) -> GovernanceAction {
    GovernanceAction::BankStatus { bank: BankId(bank), status }
}

/// A command with a signature of zeros.
pub fn unsigned<R>(record: R) -> Command
where
    Command: From<Signed<R>>,
{
    Signed { record, signature: UNSIGNED }.into()
}

/// The source of a batch's coefficients in tests: nobody attacks them, and they repeat.
pub fn batch_seed() -> BatchSeed {
    BatchSeed::draw(&mut StdRng::seed_from_u64(1))
}
