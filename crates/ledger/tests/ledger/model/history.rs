//! Random histories: plans that proptest draws and shrinks, resolved into commands against the model's present state.
//!
//! A plan is a handful of small numbers. Resolving it against the model makes every history interesting: amounts are
//! just at, below and above what a rule allows now, and sequence numbers at the edges of the signer's window.

use cbdc_ledger::amount::RatePpm;
use cbdc_ledger::bank_position::BankStatus;
use cbdc_ledger::books::BookAccount;
use cbdc_ledger::command::{
    Ballot, BankConsent, Certificate, CertifiedFor, Choice, CloseWallet, ConsentStatement, DepositStatement,
    DesignateWallet, FLAG_REVERSE_WATERFALL, FreezeKind, FreezeOrder, GovernanceAction, GovernanceProposal, Head,
    IssuanceKind, IssuanceOrder, IssuanceRequest, Kind, LinkBank, MoveWallet, OpenWallet, Operation, OperationKind,
    Payment, PaymentKind, PlaceHold, Reclassify, Record, ReleaseHold, ReleaseKind, ReplaceKey, ReservesTransfer,
    ReverseWaterfall, SeizeOrder, Signer, Statement,
};
use cbdc_ledger::governance::ProposalStatus;
use cbdc_ledger::member::{Member, Role};
use cbdc_ledger::policy::{Capitalisation, FeeTo, KeyRates, PolicyChange, ReserveRules, VelocityRule, WorkPerBlock};
use cbdc_ledger::programme::{Classes, Cohort, Funding, Grant, Purpose};
use cbdc_ledger::time::LedgerDay;
use cbdc_ledger::{
    AccountId, Amount, BankId, Class, Command, HolderId, MemberId, NetworkId, PublicKey, Signature, Signed, SigningKey,
    Timestamp,
};
use proptest::prelude::*;

use super::network::{DAY_MS, HOUR_MS, UNSIGNED, account, amount, fees, key, tiers};
use super::reference::{Model, UNSOUND_KEYS, lowest_unused};

#[derive(Clone, Copy, Debug)]
pub enum Act {
    Transfer,
    Defund,
    Fund,
    Open,
    Close,
    ReplaceKey,
    Issue,
    Redeem,
    ReservesTransfer,
    Freeze,
    Unfreeze,
    Propose,
    Vote,
    ReverseWaterfall,
    Hold,
    Capture,
    Void,
    LinkBank,
    Move,
    Designate,
    Reclassify,
    Seize,
    Operation,
    Statement,
    /// An earlier command once more, byte for byte.
    Again,
}

#[derive(Clone, Copy, Debug)]
pub enum AmountPlan {
    Zero,
    Small(u16),
    /// One of the amounts at which a rule turns, and one more or less.
    Edge {
        which: u8,
        off_by: i8,
    },
    Huge(u8),
}

#[derive(Clone, Copy, Debug)]
pub enum NumberPlan {
    Next,
    Ahead(u8),
    /// The last number of the window (0), the first beyond it (1).
    WindowEdge(u8),
    Used(u8),
    Zero,
}

#[derive(Clone, Copy, Debug)]
pub enum ValidityPlan {
    Hour,
    /// Until the block's time less or more this many ms.
    Now(i8),
    /// The longest that genesis allows, and one ms less or more.
    Longest(i8),
    For0Ms,
    Forever,
}

#[derive(Clone, Debug)]
pub struct CommandPlan {
    pub act: Act,
    pub a: u8,
    pub b: u8,
    pub c: u8,
    pub amount: AmountPlan,
    pub number: NumberPlan,
    pub validity: ValidityPlan,
    /// 0: the key in force; otherwise another version, now and then.
    pub key_version: u8,
    pub actions: Vec<(u8, u8, u8, AmountPlan)>,
    /// Hours from now to the effective time, and from there to the expire.
    pub hours: (i8, i8),
}

#[derive(Clone, Debug)]
pub struct BlockPlan {
    pub after_ms: u64,
    pub commands: Vec<CommandPlan>,
}

impl BlockPlan {
    /// Proposes limits instead of rates.
    pub fn without_interest_on_wallets(mut self) -> BlockPlan {
        for action in self.commands.iter_mut().flat_map(|command| &mut command.actions) {
            if RATE_MEASURES.contains(&action.0) {
                action.0 = 0;
            }
        }
        self
    }
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        10 => Just(Act::Transfer),
        3 => Just(Act::Defund),
        4 => Just(Act::Fund),
        3 => Just(Act::Open),
        1 => Just(Act::Close),
        2 => Just(Act::ReplaceKey),
        4 => Just(Act::Issue),
        2 => Just(Act::Redeem),
        2 => Just(Act::ReservesTransfer),
        2 => Just(Act::Freeze),
        2 => Just(Act::Unfreeze),
        5 => Just(Act::Propose),
        12 => Just(Act::Vote),
        2 => Just(Act::Again),
        4 => Just(Act::ReverseWaterfall),
        5 => Just(Act::Hold),
        4 => Just(Act::Capture),
        1 => Just(Act::Void),
        4 => Just(Act::LinkBank),
        2 => Just(Act::Move),
        1 => Just(Act::Designate),
        1 => Just(Act::Reclassify),
        2 => Just(Act::Seize),
        10 => Just(Act::Operation),
        1 => Just(Act::Statement),
    ]
}

fn amounts() -> impl Strategy<Value = AmountPlan> {
    prop_oneof![
        1 => Just(AmountPlan::Zero),
        8 => (1u16..400).prop_map(AmountPlan::Small),
        8 => (any::<u8>(), -1i8..=1).prop_map(|(which, off_by)| AmountPlan::Edge { which, off_by }),
        1 => (0u8..4).prop_map(AmountPlan::Huge),
    ]
}

fn numbers() -> impl Strategy<Value = NumberPlan> {
    prop_oneof![
        60 => Just(NumberPlan::Next),
        4 => (1u8..5).prop_map(NumberPlan::Ahead),
        2 => (0u8..=1).prop_map(NumberPlan::WindowEdge),
        2 => (1u8..4).prop_map(NumberPlan::Used),
        1 => Just(NumberPlan::Zero),
    ]
}

fn validities() -> impl Strategy<Value = ValidityPlan> {
    prop_oneof![
        40 => Just(ValidityPlan::Hour),
        1 => (-1i8..=1).prop_map(ValidityPlan::Now),
        1 => (-1i8..=1).prop_map(ValidityPlan::Longest),
        1 => Just(ValidityPlan::For0Ms),
        1 => Just(ValidityPlan::Forever),
    ]
}

/// The number of kinds that [`Resolver::action`] distinguishes.
const ACTION_KINDS: u8 = 58;
const RATE_MEASURES: std::ops::RangeInclusive<u8> = 28..=33;

prop_compose! {
    fn command_plans()(
        act in acts(),
        (a, b, c) in any::<(u8, u8, u8)>(),
        amount in amounts(),
        number in numbers(),
        validity in validities(),
        key_version in prop_oneof![40 => Just(0u8), 1 => 1u8..3],
        actions in prop::collection::vec((0u8..ACTION_KINDS, any::<u8>(), any::<u8>(), amounts()), 1..4),
        hours in (prop_oneof![3 => -2i8..=0, 2 => 1i8..30], -1i8..40),
    ) -> CommandPlan {
        CommandPlan { act, a, b, c, amount, number, validity, key_version, actions, hours }
    }
}

pub fn block_plans(commands_max: usize) -> impl Strategy<Value = BlockPlan> {
    let after_ms = prop_oneof![
        14 => 0u64..5_000,
        6 => 0..3 * HOUR_MS,
        2 => 0..DAY_MS,
        4 => DAY_MS - 1..=DAY_MS + 1,
        2 => Just(3 * DAY_MS),
        2 => (28..=31u64).prop_map(|days| days * DAY_MS),
        1 => (364..=366u64).prop_map(|days| days * DAY_MS),
    ];
    let commands = prop_oneof![
        1 => prop::collection::vec(command_plans(), 1),
        3 => prop::collection::vec(command_plans(), 0..=commands_max),
    ];
    (after_ms, commands).prop_map(|(after_ms, commands)| BlockPlan { after_ms, commands })
}

/// Sound keys: few, so that histories meet keys in use.
pub struct Keyring(Vec<PublicKey>);

impl Default for Keyring {
    fn default() -> Self {
        Keyring((0..150).map(|number| key(&format!("pool-{number}")).public_key()).collect())
    }
}

impl Keyring {
    fn public(&self, pick: u8) -> PublicKey {
        match pick {
            250.. => UNSOUND_KEYS[usize::from(pick) % UNSOUND_KEYS.len()],
            _ => self.0[usize::from(pick) % self.0.len()],
        }
    }

    /// The secret of a public key: of the pool, or one of the genesis' members.
    fn secret(&self, public: PublicKey, signer_name: &str) -> SigningKey {
        let index = self.0.iter().position(|known| *known == public);
        index.map_or_else(|| key(signer_name), |index| key(&format!("pool-{index}")))
    }
}

/// Resolves plans and, if asked to, signs what comes of them.
pub struct Resolver<'a> {
    pub model: &'a Model,
    pub keys: &'a Keyring,
    pub earlier: &'a [Command],
    /// The network to sign for; without it signatures are zeros.
    pub signs_for: Option<NetworkId>,
}

fn pick<T: Clone>(from: &[T], which: u8) -> Option<T> {
    if from.is_empty() { None } else { Some(from[usize::from(which) % from.len()].clone()) }
}

impl Resolver<'_> {
    /// A wallet that exists, or now and then a treasury or an account of nobody.
    fn any_account(&self, which: u8) -> AccountId {
        match which {
            240..=244 => account(1 + u16::from(which % 3), 0),
            245..=249 => account(1 + u16::from(which % 4), 4_000_000),
            250.. => account(60_000, u32::from(which % 2)),
            _ => pick(&self.model.wallets.keys().copied().collect::<Vec<_>>(), which).unwrap_or(account(1, 1)),
        }
    }

    fn any_bank(&self, which: u8) -> u16 {
        match which {
            245.. => u16::from(which - 245) * 6_000,
            _ => pick(&self.model.treasuries.keys().copied().collect::<Vec<_>>(), which).unwrap_or(1),
        }
    }

    fn any_member(&self, role: Role, which: u8) -> MemberId {
        let known: Vec<u16> = self.model.seats.keys().filter(|(found, _)| *found == role).map(|(_, id)| *id).collect();
        MemberId(if which >= 250 { 9_999 } else { pick(&known, which).unwrap_or(0) })
    }

    fn signer_state(&self, signer: Signer) -> (u32, u64, u64) {
        let (used, version, window) = match signer {
            Signer::Holder(id) => match self.model.wallets.get(&id) {
                Some(wallet) => (&wallet.used, wallet.key_version, 64),
                None => return (0, 1, 64),
            },
            Signer::Member(role, id) => match self.model.seats.get(&(role, id.0)) {
                Some(seat) => (&seat.used, seat.key_version, 65_536),
                None => return (0, 1, 65_536),
            },
        };
        (version, lowest_unused(used), window)
    }

    fn head(&self, plan: &CommandPlan, signer: Signer) -> Head {
        let (version, lowest, window) = self.signer_state(signer);
        let sequence = match plan.number {
            NumberPlan::Next => lowest,
            NumberPlan::Ahead(by) => lowest + u64::from(by),
            NumberPlan::WindowEdge(beyond) => lowest + window - 1 + u64::from(beyond),
            NumberPlan::Used(back) => lowest.saturating_sub(u64::from(back)),
            NumberPlan::Zero => 0,
        };
        let now = self.model.time;
        let longest = now + self.model.validity_ms as u64;
        let valid_until = match plan.validity {
            ValidityPlan::Hour => now + HOUR_MS,
            ValidityPlan::Now(by) => now.saturating_add_signed(i64::from(by)),
            ValidityPlan::Longest(by) => longest.saturating_add_signed(i64::from(by)),
            ValidityPlan::For0Ms => 0,
            ValidityPlan::Forever => u64::MAX,
        };
        let key_version = (version + u32::from(plan.key_version)) % 3;
        let key_version = if plan.key_version == 0 { version } else { key_version };
        Head { flags: 0, key_version, sequence, valid_until: Timestamp(valid_until) }
    }

    /// The amounts at which rules turn, for money from `from` to `to` or for a bank.
    fn edges(&self, from: AccountId, to: AccountId) -> Vec<i128> {
        let model = self.model;
        let mut edges = Vec::new();
        if let Some(payer) = model.wallets.get(&from) {
            let (class, policy) = (model.class_of(from), model.policy());
            let spendable = model.spendable(from);
            edges.extend([payer.available, spendable, payer.frozen, u64::MAX as i128 - payer.frozen]);
            edges.extend(policy.payment.get(&class));
            edges.extend(policy.day.get(&class).map(|limit| limit - model.paid_today(payer.holder)));
            edges.extend(policy.month.get(&class).map(|limit| limit - model.paid_this_month(payer.holder)));
            edges.extend(policy.payer_fee[&class].brackets.iter().map(|(up_to, ..)| up_to));
            edges.push(spendable - model.payer_fee(payer.holder, spendable));
            if model.wallets.contains_key(&to) {
                let bound: i128 = model.usable(from, to, model.time + 1).iter().map(|(_, free)| free).sum();
                edges.extend([bound, bound + spendable]);
            }
        }
        if let Some(payee) = model.wallets.get(&to) {
            let class = model.class_of(to);
            let limit = model.policy().holding.get(&class).map(|limit| limit - model.holdings(payee.holder));
            let claim = model.claim_of(payee.holder);
            edges.extend(limit.into_iter().flat_map(|left| [left, left + claim]));
            edges.push(claim);
        }
        edges.extend(self.edges_of_bank(from.bank.0));
        edges
    }

    fn edges_of_bank(&self, bank: u16) -> Vec<i128> {
        let (model, policy) = (self.model, self.model.policy());
        let mut edges = vec![model.reserves_of(bank)];
        edges.extend(model.treasuries.get(&bank));
        edges.extend(policy.cap.map(|cap| cap - model.supply()));
        edges.extend(policy.quota_for(bank).map(|quota| quota - model.issued_today(bank)));
        edges
    }

    fn edges_of_operation(&self, kind: OperationKind, bank: u16) -> Vec<i128> {
        let (model, reserves) = (self.model, self.model.reserves_of(bank));
        let Some(position) = model.positions.get(&bank) else { return vec![reserves] };
        let loans = model.loans_of(bank);
        let cover = model.policy().after_haircut(position.collateral);
        match kind {
            OperationKind::DepositBanknotes => vec![model.balance(BookAccount::Banknotes)],
            OperationKind::PayFromGovernment => vec![model.balance(BookAccount::Government)],
            OperationKind::SellSecurities => vec![model.securities_nominal, model.securities_nominal / 3, reserves],
            OperationKind::BuySecurities => vec![reserves, 700],
            OperationKind::Lend | OperationKind::Refinance => vec![cover - loans, (cover - loans) / 3],
            OperationKind::Pledge => vec![5_000, reserves],
            OperationKind::ReleaseCollateral => {
                vec![position.collateral, position.collateral - loans, cover - loans, (cover - loans) / 2]
            }
            OperationKind::RealiseCollateral | OperationKind::WriteOffLoans => {
                vec![position.collateral, loans, loans / 2, loans.min(position.collateral)]
            }
            _ => vec![reserves, reserves / 2],
        }
    }

    fn amount(&self, plan: AmountPlan, edges: &[i128]) -> Amount {
        let value = match plan {
            AmountPlan::Zero => 0,
            AmountPlan::Small(value) => i128::from(value),
            AmountPlan::Edge { which, off_by } => {
                let positive: Vec<i128> = edges.iter().copied().filter(|edge| *edge > 0).collect();
                pick(&positive, which).unwrap_or(1) + i128::from(off_by)
            }
            AmountPlan::Huge(less) => u64::MAX as i128 - i128::from(less),
        };
        amount(value.clamp(0, u64::MAX as i128) as u64)
    }

    fn holder(&self, which: u8) -> (HolderId, Class) {
        let number = which % 6;
        let class = match which {
            248.. => Class(9),
            236..=247 => Class(3),
            _ => Class(number % 3),
        };
        (HolderId([number; 16]), class)
    }

    fn action(&self, (kind, a, b, amounts): (u8, u8, u8, AmountPlan)) -> GovernanceAction {
        let class = Class(a % 4);
        let near_holdings = self.model.holdings(HolderId([b % 6; 16])) + 150;
        let limits = [300, 1_000, 2_300, self.model.supply() + 500, near_holdings];
        let limit = if b % 4 == 0 { None } else { Some(self.amount(amounts, &limits)) };
        match kind {
            0..=3 => GovernanceAction::Policy(PolicyChange::HoldingLimit { class, limit }),
            4..=5 => GovernanceAction::Policy(PolicyChange::PaymentLimit { class, limit }),
            6..=7 => GovernanceAction::Policy(PolicyChange::DayLimit { class, limit }),
            8 => GovernanceAction::Policy(PolicyChange::SupplyCap(limit)),
            9 => GovernanceAction::Policy(PolicyChange::IssuanceQuota(limit)),
            10 => GovernanceAction::Policy(PolicyChange::IssuanceQuotaOfBank {
                bank: BankId(self.any_bank(a)),
                quota: limit,
            }),
            11..=13 => {
                let role = Role::ALL[usize::from(a) % 7];
                let node_key = (b % 2 == 0).then(|| self.keys.public(b / 2 % 40));
                let name = format!("{role} admitted");
                GovernanceAction::AdmitMember(Member {
                    role,
                    id: MemberId(u16::from(b % 7)),
                    name,
                    signing_key: self.keys.public(b),
                    node_key,
                })
            }
            14..=16 => {
                let role = Role::ALL[usize::from(a) % 7];
                let node_key = (b % 2 == 0).then(|| self.keys.public(b / 2 % 40));
                GovernanceAction::ReplaceKeys {
                    role,
                    id: self.any_member(role, a / 7),
                    signing_key: self.keys.public(b),
                    node_key,
                }
            }
            17 => {
                let role = Role::ALL[usize::from(a) % 7];
                GovernanceAction::DismissMember { role, id: self.any_member(role, b) }
            }
            18 => GovernanceAction::Threshold(u16::from(a % 4)),
            19..=21 => GovernanceAction::Policy(PolicyChange::MonthLimit { class, limit }),
            22..=27 => GovernanceAction::Policy(self.class_rule(kind, class, a, b)),
            28..=33 => {
                // Rates large enough to post in a day; none, one or two tiers.
                let (rate, above) = (i32::from(b as i8) * 20_000, (i32::from(a) - 128) * 15_000);
                let bound = self.amount(amounts, &limits).minor().max(1);
                let bounded = [(bound, rate), (bound.saturating_add(300), -rate / 3)];
                let count = (usize::from(b) % 3).min(if bound > u64::MAX - 300 { 1 } else { 2 });
                GovernanceAction::Policy(PolicyChange::Remuneration { class, tiers: tiers(&bounded[..count], above) })
            }
            34..=35 => {
                let rule = if a % 2 == 0 { Capitalisation::Daily } else { Capitalisation::Monthly };
                GovernanceAction::Policy(PolicyChange::Capitalisation(rule))
            }
            36..=43 => GovernanceAction::Policy(self.rule_of_banks(kind, a, b)),
            44..=50 => GovernanceAction::Grant(self.grant(a, b, amounts)),
            51..=54 => {
                let status = match b {
                    0..=149 => BankStatus::Suspended,
                    150..=249 => BankStatus::Active,
                    250.. => BankStatus::Resolved,
                };
                GovernanceAction::BankStatus { bank: BankId(self.any_bank(a)), status }
            }
            55..=56 => {
                let resolved = self.model.positions.iter().filter(|(_, it)| it.status == BankStatus::Resolved);
                let resolved: Vec<u16> = resolved.map(|(bank, _)| *bank).collect();
                let from = if b < 200 { pick(&resolved, a) } else { None };
                GovernanceAction::MoveCustomers {
                    from: BankId(from.unwrap_or_else(|| self.any_bank(a))),
                    to: BankId(self.any_bank(b)),
                }
            }
            _ => GovernanceAction::Policy(PolicyChange::WorkPerBlock(WorkPerBlock(
                [0, 4_000, 65_536, 65_537][usize::from(b % 4)],
            ))),
        }
    }

    /// Velocity and fees.
    fn class_rule(&self, kind: u8, class: Class, a: u8, b: u8) -> PolicyChange {
        let flat = u64::from(a / 4 % 8);
        let brackets = [(150, flat, 0), (400, 2 * flat, 5_000), (u64::MAX, 0, 1_000_000)];
        let to = if a.is_multiple_of(8) { FeeTo::PayeeBank } else { FeeTo::Equity };
        let schedule = fees(to, &brackets[..usize::from(b % 8 / 2).min(if b == 255 { 3 } else { 2 })]);
        match kind {
            22..=23 => {
                let (payments, window_ms) =
                    (u16::from(b % 4), [0, 2_000, HOUR_MS, 31 * DAY_MS][usize::from(a / 4 % 4)]);
                let rule = (!b.is_multiple_of(8)).then_some(VelocityRule { payments: payments.max(1), window_ms });
                PolicyChange::Velocity { class, rule }
            }
            24..=25 => PolicyChange::PayerFee { class, schedule },
            _ => PolicyChange::PayeeFee { class, schedule },
        }
    }

    /// Key rates, reserves and haircut; now and then unsound.
    fn rule_of_banks(&self, kind: u8, a: u8, b: u8) -> PolicyChange {
        let rate = |base: u8| RatePpm((i32::from(base) - 90) * 20_000);
        match kind {
            36..=38 => {
                let deposit = rate(a);
                let step = i32::from(b) * 3_000 - 20_000;
                let above = |steps: i32| RatePpm(deposit.0 + steps * step);
                let rates = KeyRates { deposit, policy: above(1), lending: above(2), penalty: above(5) };
                PolicyChange::KeyRates(rates)
            }
            39..=41 => PolicyChange::Reserves(ReserveRules {
                rate_up_to: rate(a),
                rate_above: rate(b),
                requirement_ppm: [0, 20_000, 700_000, 1_000_000, 1_000_001][usize::from(b) % 5],
                period_days: [0, 1, 2, 7, 30][usize::from(a) % 5],
                shortfall_rate: RatePpm(i32::from(b) * 40_000 - 80_000),
            }),
            _ => PolicyChange::Haircut { ppm: [0, 100_000, 333_333, 1_000_000, 1_000_001][usize::from(b) % 5] },
        }
    }

    fn grant(&self, a: u8, b: u8, amounts: AmountPlan) -> Grant {
        // Bank 0 is written as no bank.
        let bank = (a / 4).is_multiple_of(4).then(|| BankId(self.any_bank(b))).filter(|bank| bank.0 != 0);
        let cohort = Cohort { class: Class(a % 3), bank, first: u32::from(b / 16 % 4) };
        let edges = [400, 60, self.model.balance(BookAccount::Government)];
        let hours = [1, 3, 26, 80, 800, 0][usize::from(b) % 6];
        let purpose = Purpose {
            expires_at: Timestamp(self.model.time + hours * HOUR_MS),
            payees: Classes(a / 16 % 16),
            funding: if b % 8 < 3 { Funding::Government } else { Funding::Equity },
        };
        Grant {
            cohort,
            amount_each: self.amount(amounts, &edges),
            purpose: (!(a / 16).is_multiple_of(4)).then_some(purpose),
        }
    }

    fn sign<R: Record>(&self, record: R, signer: Signer) -> Signed<R> {
        let Some(network) = self.signs_for else { return Signed { record, signature: UNSIGNED } };
        record.sign(network, &self.secret_of(signer))
    }

    fn secret_of(&self, signer: Signer) -> SigningKey {
        match signer {
            Signer::Holder(id) => match self.model.wallets.get(&id) {
                Some(wallet) => self.keys.secret(wallet.key, "nobody"),
                None => key("nobody"),
            },
            Signer::Member(role, id) => match self.model.seats.get(&(role, id.0)) {
                Some(seat) => self.keys.secret(seat.key, &super::network::member_name(role, id.0)),
                None => key("nobody"),
            },
        }
    }

    /// The registrar's certificate of a statement and the holder's agreement. Occasionally expired.
    fn certified(&self, which: u8, mut statement: Statement) -> (Certificate, Signature) {
        if which % 32 == 30 {
            statement.valid_until = Timestamp(self.model.time.saturating_sub(1));
        }
        let registrar = self.any_member(Role::Registrar, which);
        let (version, ..) = self.signer_state(Signer::Member(Role::Registrar, registrar));
        let registrar_key_version = if which % 32 == 31 { version + 1 } else { version };
        match self.signs_for {
            None => {
                let (valid_until, signature) = (statement.valid_until, UNSIGNED);
                (Certificate { registrar, registrar_key_version, valid_until, signature }, UNSIGNED)
            }
            Some(network) => {
                let secret = self.secret_of(Signer::Member(Role::Registrar, registrar));
                let certificate = statement.certify(network, registrar, registrar_key_version, &secret);
                let agreement = statement.agree(network, &certificate, &self.keys.secret(statement.key, "nobody"));
                (certificate, agreement)
            }
        }
    }

    /// A bank's consent; now and then past its end, or by another version of the key.
    fn consent(&self, kind: Kind, account: AccountId, bank: BankId, which: u8) -> BankConsent {
        let signer = Signer::Member(Role::Bank, MemberId(bank.0));
        let (version, ..) = self.signer_state(signer);
        let bank_key_version = if which % 32 == 31 { version + 1 } else { version };
        let hour = self.model.time + HOUR_MS;
        let end = if which % 32 == 30 { self.model.time.saturating_sub(1) } else { hour };
        let statement = ConsentStatement { kind, bank, account, valid_until: Timestamp(end) };
        match self.signs_for {
            None => BankConsent { bank_key_version, valid_until: statement.valid_until, signature: UNSIGNED },
            Some(network) => statement.sign(network, bank_key_version, &self.secret_of(signer)),
        }
    }

    pub fn resolve(&self, plan: &CommandPlan) -> Command {
        let CommandPlan { act, a, b, c, .. } = *plan;
        let member = |role: Role, id: MemberId| Signer::Member(role, id);
        match act {
            Act::Transfer | Act::Defund | Act::Fund => self.payment(plan),
            Act::Open => {
                let (holder, class) = self.holder(a);
                let bank = self.any_bank(b);
                let signer = member(Role::Bank, MemberId(bank));
                let (head, key) = (self.head(plan, signer), self.keys.public(c));
                let (bank, valid_until) = (BankId(bank), Timestamp(self.model.time + HOUR_MS));
                let statement = Statement { purpose: CertifiedFor::Open(bank), holder, class, key, valid_until };
                let (certificate, agreement) = self.certified(a ^ b, statement);
                self.sign(OpenWallet { head, bank, class, holder, key, certificate, agreement }, signer).into()
            }
            Act::Close => {
                let account = self.closable(a);
                let signer = member(Role::Bank, MemberId(account.bank.0));
                self.sign(CloseWallet { head: self.head(plan, signer), account }, signer).into()
            }
            Act::ReplaceKey => {
                let (account, key) = (self.any_account(a), self.keys.public(c));
                let signer = member(Role::Bank, MemberId(account.bank.0));
                let wallet = self.model.wallets.get(&account);
                let (holder, class) = wallet.map_or((HolderId([0; 16]), Class(0)), |wallet| {
                    (wallet.holder, self.model.classes[&wallet.holder])
                });
                // Now and then the class named is not the holder's.
                let class = if c % 16 == 0 { Class(class.0 ^ 1) } else { class };
                let in_force = wallet.map_or(0, |wallet| wallet.key_version);
                // Now and then the certificate was for another version.
                let version = if c % 16 == 1 { in_force + 1 } else { in_force };
                let (purpose, valid_until) =
                    (CertifiedFor::ReplaceKey { account, version }, Timestamp(self.model.time + HOUR_MS));
                let statement = Statement { purpose, holder, class, key, valid_until };
                let (certificate, agreement) = self.certified(b, statement);
                let head = self.head(plan, signer);
                self.sign(ReplaceKey { head, account, class, version, key, certificate, agreement }, signer).into()
            }
            Act::Issue | Act::Redeem => {
                let kind = if matches!(act, Act::Issue) { IssuanceKind::Issue } else { IssuanceKind::Redeem };
                let bank = self.any_bank(a);
                let asker = member(Role::Bank, MemberId(bank));
                // The plan's oddities fall on the bank's head or on the operator's.
                let honest = CommandPlan {
                    number: NumberPlan::Next,
                    validity: ValidityPlan::Hour,
                    key_version: 0,
                    ..plan.clone()
                };
                let (asker_plan, operator_plan) = if c % 2 == 0 { (plan, &honest) } else { (&honest, plan) };
                let minor = self.amount(plan.amount, &self.edges_of_bank(bank));
                let record =
                    IssuanceRequest { kind, head: self.head(asker_plan, asker), bank: BankId(bank), amount: minor };
                let request = self.sign(record, asker);
                let operator = self.any_member(Role::Operator, b);
                let signer = member(Role::Operator, operator);
                self.sign(IssuanceOrder { head: self.head(operator_plan, signer), operator, request }, signer).into()
            }
            Act::ReservesTransfer => {
                let (from, to) = (self.any_bank(a), self.any_bank(b));
                let signer = member(Role::Bank, MemberId(from));
                let minor = self.amount(plan.amount, &self.edges_of_bank(from));
                let head = self.head(plan, signer);
                self.sign(ReservesTransfer { head, from: BankId(from), to: BankId(to), amount: minor }, signer).into()
            }
            Act::Freeze | Act::Unfreeze => {
                let kind = if matches!(act, Act::Freeze) { FreezeKind::Freeze } else { FreezeKind::Unfreeze };
                let (account, court) = (self.any_account(a), self.any_member(Role::Court, b));
                let signer = member(Role::Court, court);
                let minor = self.amount(plan.amount, &self.edges(account, account));
                let head = self.head(plan, signer);
                self.sign(FreezeOrder { kind, head, court, account, amount: minor, order: [c; 16] }, signer).into()
            }
            Act::Propose => {
                let seat = self.any_member(Role::Committee, a);
                let signer = member(Role::Committee, seat);
                let later =
                    |from: u64, hours: i8| Timestamp(from.saturating_add_signed(i64::from(hours) * HOUR_MS as i64));
                let effective_at = later(self.model.time, plan.hours.0);
                let expires_at = later(effective_at.0, plan.hours.1.saturating_mul(3));
                let actions = plan.actions.iter().map(|action| self.action(*action)).collect();
                let head = self.head(plan, signer);
                self.sign(GovernanceProposal { head, member: seat, effective_at, expires_at, actions }, signer).into()
            }
            Act::Vote => {
                let seat = self.any_member(Role::Committee, a);
                let signer = member(Role::Committee, seat);
                let latest = self.model.proposals.len() as u64;
                let is_open = |number: &u64| self.model.proposals[*number as usize - 1].status == ProposalStatus::Open;
                let open: Vec<u64> = (1..=latest).filter(is_open).collect();
                let proposal = match b {
                    0..=199 => pick(&open, b).unwrap_or(latest),
                    200..=239 => (latest + 1).saturating_sub(u64::from(b % 4)),
                    240.. => u64::from(b) * 1_000,
                };
                let choice = match c % 16 {
                    0 | 8 => Choice::Reject,
                    1 => Choice::Withdraw,
                    _ => Choice::Approve,
                };
                self.sign(Ballot { head: self.head(plan, signer), member: seat, choice, proposal }, signer).into()
            }
            Act::ReverseWaterfall => self.reverse_waterfall(plan),
            Act::Hold => self.hold(plan),
            Act::Capture | Act::Void if self.model.holds.is_empty() && plan.b < 240 => self.hold(plan),
            Act::Capture | Act::Void => self.release(plan),
            Act::LinkBank => {
                let account = self.any_account(a);
                let bank = if c.is_multiple_of(8) { 0 } else { self.any_bank(b) };
                let (head, bank) = (self.head(plan, Signer::Holder(account)), BankId(bank));
                let consent = (bank != BankId(0)).then(|| self.consent(Kind::LinkBank, account, bank, c));
                self.sign(LinkBank { head, account, bank, consent }, Signer::Holder(account)).into()
            }
            Act::Move => {
                let (account, bank) = (self.any_account(a), BankId(self.any_bank(b)));
                let (head, consent) =
                    (self.head(plan, Signer::Holder(account)), self.consent(Kind::MoveWallet, account, bank, c));
                self.sign(MoveWallet { head, account, bank, consent }, Signer::Holder(account)).into()
            }
            Act::Designate => {
                let account = self.any_account(a);
                let head = self.head(plan, Signer::Holder(account));
                self.sign(DesignateWallet { head, account }, Signer::Holder(account)).into()
            }
            Act::Reclassify => {
                let holder = HolderId([b % 7; 16]);
                let class = Class(if c >= 248 { 9 } else { c % 4 });
                let signer = member(Role::Registrar, MemberId(0));
                let head = self.head(plan, signer);
                self.sign(Reclassify { head, registrar: MemberId(0), class, holder }, signer).into()
            }
            Act::Seize => {
                let (account, to, court) = (self.any_account(a), self.any_account(b), self.any_member(Role::Court, c));
                let signer = member(Role::Court, court);
                let minor = self.amount(plan.amount, &self.edges(account, to));
                let head = self.head(plan, signer);
                // Now and then it replaces what was frozen, or one more than that.
                let frozen = self.model.wallets.get(&account).map_or(0, |wallet| wallet.frozen) as u64;
                let released = amount([0, 0, frozen, frozen / 2, frozen.saturating_add(1)][usize::from(c) % 5]);
                self.sign(SeizeOrder { head, court, account, amount: minor, to, released, order: [c; 16] }, signer)
                    .into()
            }
            Act::Operation => self.operation(plan),
            Act::Statement => {
                let bank = self.any_bank(a);
                let signer = member(Role::Bank, MemberId(bank));
                let deposits = self.amount(plan.amount, &[self.model.reserves_of(bank), 3_000]);
                let head = self.head(plan, signer);
                self.sign(DepositStatement { head, bank: BankId(bank), deposits }, signer).into()
            }
            Act::Again => match pick(self.earlier, a) {
                Some(command) => command,
                None => self.resolve(&CommandPlan { act: Act::Transfer, ..plan.clone() }),
            },
        }
    }

    /// An empty wallet, if there is one and the pick is even.
    fn closable(&self, which: u8) -> AccountId {
        let empty: Vec<AccountId> = self
            .model
            .wallets
            .keys()
            .filter(|id| self.model.own(**id) + self.model.earmarked(**id) == 0)
            .copied()
            .collect();
        if which.is_multiple_of(2) { pick(&empty, which / 2).unwrap_or(account(1, 1)) } else { self.any_account(which) }
    }

    fn payment(&self, plan: &CommandPlan) -> Command {
        let (mut from, mut to) = (self.any_account(plan.a), self.any_account(plan.b));
        let odd = plan.c >= 240;
        let kind = match plan.act {
            Act::Fund => PaymentKind::Fund,
            Act::Defund => PaymentKind::Defund,
            _ => PaymentKind::Transfer,
        };
        match kind {
            PaymentKind::Fund if !odd => from = AccountId::treasury(to.bank),
            PaymentKind::Defund if !odd => to = AccountId::treasury(from.bank),
            _ => {}
        }
        let signer = match kind {
            PaymentKind::Fund => Signer::Member(Role::Bank, MemberId(from.bank.0)),
            _ => Signer::Holder(from),
        };
        let flags = if kind == PaymentKind::Transfer && plan.c % 32 == 31 { FLAG_REVERSE_WATERFALL } else { 0 };
        let head = Head { flags, ..self.head(plan, signer) };
        let minor = self.amount(plan.amount, &self.edges(from, to));
        let max_fee = self.max_fee(from, minor, plan.c);
        self.sign(Payment { kind, head, from, to, amount: minor, max_fee, reference: [plan.c; 16] }, signer).into()
    }

    /// Mostly the payer's fee, or more; now and then too little.
    fn max_fee(&self, from: AccountId, minor: Amount, which: u8) -> Amount {
        let Some(payer) = self.model.wallets.get(&from) else { return Amount::ZERO };
        let fee = self.model.payer_fee(payer.holder, i128::from(minor.minor()));
        let max_fee = match which % 16 {
            0..=5 => fee,
            6..=12 => fee + 3,
            13..=14 => fee - 1,
            _ => 0,
        };
        amount(max_fee.clamp(0, u64::MAX as i128) as u64)
    }

    fn reverse_waterfall(&self, plan: &CommandPlan) -> Command {
        let wallets = self.model.wallets.iter();
        let linked: Vec<AccountId> =
            wallets.filter(|(_, wallet)| wallet.open && wallet.linked_bank != 0).map(|(id, _)| *id).collect();
        let from = match plan.a {
            0..=219 => pick(&linked, plan.a).unwrap_or(account(1, 1)),
            220.. => self.any_account(plan.a),
        };
        let to = if plan.b % 32 == 31 { from } else { self.any_account(plan.b) };
        let linked = self.model.wallets.get(&from).map_or(0, |wallet| wallet.linked_bank);
        let bank = if plan.c >= 224 || linked == 0 { self.any_bank(plan.c) } else { linked };
        // The plan's oddities fall on the bank's head or on the payer's.
        let honest =
            CommandPlan { number: NumberPlan::Next, validity: ValidityPlan::Hour, key_version: 0, ..plan.clone() };
        let (bank_plan, payer_plan) = if plan.c.is_multiple_of(2) { (plan, &honest) } else { (&honest, plan) };
        let spendable = self.model.wallets.get(&from).map_or(0, |_| self.model.spendable(from));
        let mut edges = self.edges_of_bank(bank);
        edges.iter_mut().for_each(|edge| *edge += spendable);
        edges.extend(self.edges(from, to));
        edges.push(spendable + 200);
        let minor = self.amount(plan.amount, &edges);
        let lacking = i128::from(minor.minor()) - spendable;
        let maximum = self.amount(
            AmountPlan::Edge { which: 0, off_by: [0, 1, -1, 5][usize::from(plan.c / 2 % 4)] },
            &[if plan.c % 16 < 8 { lacking } else { u64::MAX as i128 }],
        );
        let head = Head { flags: FLAG_REVERSE_WATERFALL, ..self.head(payer_plan, Signer::Holder(from)) };
        let max_fee = self.max_fee(from, minor, plan.c / 4);
        let (kind, reference) = (PaymentKind::Transfer, [plan.c; 16]);
        let transfer =
            self.sign(Payment { kind, head, from, to, amount: minor, max_fee, reference }, Signer::Holder(from));
        let signer = Signer::Member(Role::Bank, MemberId(bank));
        let head = self.head(bank_plan, signer);
        self.sign(ReverseWaterfall { head, bank: BankId(bank), maximum, transfer }, signer).into()
    }

    fn hold(&self, plan: &CommandPlan) -> Command {
        let (from, to) = (self.any_account(plan.a), self.any_account(plan.b));
        let mut edges = self.edges(from, to);
        let spendable = self.model.wallets.get(&from).map_or(0, |_| self.model.spendable(from));
        edges.extend([spendable / 3, spendable - 3]);
        let maximum = self.amount(plan.amount, &edges);
        let max_fee = self.max_fee(from, maximum, plan.c);
        let now = self.model.time;
        let purposes = self.model.programmes.iter().filter_map(|programme| programme.expires_at());
        let purpose = purposes.filter(|expires_at| *expires_at > now).min();
        let expires_at = match plan.c / 16 {
            0..=3 => now + HOUR_MS,
            4..=6 => now + 5_000,
            7..=9 => now + 2 * DAY_MS,
            10..=11 => purpose.unwrap_or(now + DAY_MS),
            12 => purpose.unwrap_or(now + HOUR_MS) + 1,
            13 => now,
            14 => now + 31 * DAY_MS,
            _ => now + 31 * DAY_MS + 1,
        };
        let signer = Signer::Holder(from);
        let (head, expires_at, reference) = (self.head(plan, signer), Timestamp(expires_at), [plan.c; 16]);
        self.sign(PlaceHold { head, from, to, maximum, max_fee, expires_at, reference }, signer).into()
    }

    fn release(&self, plan: &CommandPlan) -> Command {
        let open: Vec<u64> = self.model.holds.keys().copied().collect();
        let number = if plan.b >= 240 { u64::from(plan.b - 239) } else { pick(&open, plan.a).unwrap_or(1) };
        let hold = self.model.holds.get(&number);
        let bank = match hold {
            Some(hold) if plan.b % 16 != 15 => hold.payee.bank.0,
            _ => self.any_bank(plan.b),
        };
        let mut edges = vec![0, 1];
        if let Some(hold) = hold {
            let bound: i128 = hold.earmarks.iter().map(|(_, amount)| amount).sum();
            edges = vec![hold.maximum, hold.maximum, hold.maximum / 2, bound];
            edges.extend(self.edges(hold.payer, hold.payee));
        }
        let (kind, minor) = match plan.act {
            Act::Void => (ReleaseKind::Void, Amount::ZERO),
            _ => (ReleaseKind::Capture, self.amount(plan.amount, &edges)),
        };
        let signer = Signer::Member(Role::Bank, MemberId(bank));
        let head = self.head(plan, signer);
        self.sign(ReleaseHold { kind, head, bank: BankId(bank), hold: number, amount: minor }, signer).into()
    }

    fn operation(&self, plan: &CommandPlan) -> Command {
        let kind = OperationKind::ALL[usize::from(plan.a) % OperationKind::ALL.len()];
        let (bank, operator) = (self.any_bank(plan.b), self.any_member(Role::Operator, plan.c));
        let is_of_market = matches!(kind, OperationKind::BuySecurities | OperationKind::SellSecurities);
        let price_ppm = match plan.c % 8 {
            _ if !is_of_market => 0,
            0..=2 => 1_000_000,
            3..=4 => 937_000,
            5 => 1_100_001,
            6 => u32::from(plan.c / 8) * 300,
            _ => u32::MAX,
        };
        let (rate, days) = match kind {
            OperationKind::Refinance => {
                (i32::from(plan.c as i8) * 20_000, [1, 3, 0, 30, -1, 2][usize::from(plan.c % 6)])
            }
            _ => (0, 0),
        };
        let matures = if kind == OperationKind::Refinance { self.model.today() + days } else { 0 };
        let minor = self.amount(plan.amount, &self.edges_of_operation(kind, bank));
        let signer = Signer::Member(Role::Operator, operator);
        let (head, rate, matures) = (self.head(plan, signer), RatePpm(rate), LedgerDay(matures as u32));
        let record = Operation { kind, head, operator, bank: BankId(bank), amount: minor, price_ppm, rate, matures };
        self.sign(record, signer).into()
    }
}

fn plan(act: Act, a: u8, b: u8, c: u8, minor: u16) -> CommandPlan {
    CommandPlan {
        act,
        a,
        b,
        c,
        amount: AmountPlan::Small(minor),
        number: NumberPlan::Next,
        validity: ValidityPlan::Hour,
        key_version: 0,
        actions: vec![],
        hours: (0, 1),
    }
}

/// What every history begins with, a block each: issuance to three banks; six holders, each with a wallet at two
/// banks; 1,000 minor units on each; limits that bind soon, proposed and voted; the same for rates, fees and banks'
/// terms; collateral, statements and links.
pub fn beginning() -> Vec<BlockPlan> {
    let block = |commands: Vec<CommandPlan>| BlockPlan { after_ms: 1_000, commands };
    let issuing = (0..3).map(|bank| plan(Act::Issue, bank, 0, 2, 20_000)).collect();
    let opening =
        (0..12).map(|number| plan(Act::Open, number % 6, (number % 3 + number / 6) % 3, 5 * number + 2, 0)).collect();
    let funding = (0..12).map(|wallet| plan(Act::Fund, 0, wallet, 2, 1_000)).collect();
    let edge = |which| AmountPlan::Edge { which, off_by: 0 };
    let holding = (0..3).map(|class| (0, class, 1, edge(2)));
    let rest = [(6, 0, 1, edge(1)), (4, 1, 1, edge(0)), (8, 0, 1, edge(3)), (20, 2, 1, edge(1)), (22, 14, 2, edge(0))];
    let limits = CommandPlan { actions: holding.chain(rest).collect(), ..plan(Act::Propose, 0, 0, 2, 0) };
    let terms = [
        // Households earn up to a bound, merchants pay; fees of households as payers, of merchants as payees.
        (28, 132, 1, edge(0)),
        (28, 109, 0, edge(0)),
        (24, 12, 4, edge(0)),
        (26, 17, 2, edge(0)),
        (36, 95, 10, edge(0)),
        (39, 93, 87, edge(0)),
        (42, 0, 1, edge(0)),
        (9, 0, 1, AmountPlan::Small(21_000)),
        // Purpose-bound money for businesses and households; the cap refuses some of it.
        (44, 116, 3, edge(0)),
        (44, 117, 4, edge(1)),
    ];
    let terms = CommandPlan { actions: terms.into(), ..plan(Act::Propose, 0, 0, 2, 0) };
    let deciding = vec![limits, plan(Act::Vote, 1, 1, 2, 0), terms, plan(Act::Vote, 1, 1, 2, 0)];
    let banks =
        (0..3).flat_map(|bank| [plan(Act::Operation, 9, bank, 2, 5_000), plan(Act::Statement, bank, 0, 2, 9_000)]);
    let links = (0..6).map(|number| plan(Act::LinkBank, 2 * number, number, 2, 0));
    vec![block(issuing), block(opening), block(funding), block(deciding), block(banks.chain(links).collect())]
}
