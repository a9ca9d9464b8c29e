//! Random histories: plans that proptest draws and shrinks, resolved into commands against the model's present state.
//!
//! A plan is a handful of small numbers. Resolving it against the model makes every history interesting: amounts lie
//! just at, below and above what a rule allows now, and sequence numbers at the edges of the signer's window.

use cbdc_ledger::command::{
    Ballot, Certificate, CloseWallet, FreezeKind, FreezeOrder, Head, IssuanceKind, IssuanceOrder, IssuanceRequest,
    Measure, Motion, OpenWallet, Payment, PaymentKind, Record, ReplaceKey, ReservesTransfer, Signer,
};
use cbdc_ledger::member::{Member, Role};
use cbdc_ledger::policy::PolicyChange;
use cbdc_ledger::{
    AccountId, Amount, BankId, Class, Command, HolderId, MemberId, NetworkId, PublicKey, Signed, SigningKey, Timestamp,
};
use proptest::prelude::*;

use super::network::{DAY_MS, HOUR_MS, UNSIGNED, account, amount, key};
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
    pub measures: Vec<(u8, u8, u8, AmountPlan)>,
    /// Hours from now to the effective time, and from there to the lapse.
    pub hours: (i8, i8),
}

#[derive(Clone, Debug)]
pub struct BlockPlan {
    pub after_ms: u64,
    pub commands: Vec<CommandPlan>,
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => Just(Act::Transfer),
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
        3 => Just(Act::Propose),
        6 => Just(Act::Vote),
        2 => Just(Act::Again),
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
        24 => Just(NumberPlan::Next),
        4 => (1u8..5).prop_map(NumberPlan::Ahead),
        2 => (0u8..=1).prop_map(NumberPlan::WindowEdge),
        2 => (1u8..4).prop_map(NumberPlan::Used),
        1 => Just(NumberPlan::Zero),
    ]
}

fn validities() -> impl Strategy<Value = ValidityPlan> {
    prop_oneof![
        16 => Just(ValidityPlan::Hour),
        1 => (-1i8..=1).prop_map(ValidityPlan::Now),
        1 => (-1i8..=1).prop_map(ValidityPlan::Longest),
        1 => Just(ValidityPlan::For0Ms),
        1 => Just(ValidityPlan::Forever),
    ]
}

prop_compose! {
    fn command_plans()(
        act in acts(),
        (a, b, c) in any::<(u8, u8, u8)>(),
        amount in amounts(),
        number in numbers(),
        validity in validities(),
        key_version in prop_oneof![20 => Just(0u8), 1 => 1u8..3],
        measures in prop::collection::vec((0u8..20, any::<u8>(), any::<u8>(), amounts()), 1..4),
        hours in (-2i8..30, -1i8..40),
    ) -> CommandPlan {
        CommandPlan { act, a, b, c, amount, number, validity, key_version, measures, hours }
    }
}

pub fn block_plans(commands_max: usize) -> impl Strategy<Value = BlockPlan> {
    let after_ms = prop_oneof![
        6 => 0u64..5_000,
        3 => 0..3 * HOUR_MS,
        2 => DAY_MS - 1..=DAY_MS + 1,
        1 => Just(3 * DAY_MS),
    ];
    let commands = prop_oneof![1 => prop::collection::vec(command_plans(), 1), 3 => prop::collection::vec(command_plans(), 0..=commands_max)];
    (after_ms, commands).prop_map(|(after_ms, commands)| BlockPlan { after_ms, commands })
}

/// Sound keys: few, so that histories meet keys in use.
pub struct Keyring(Vec<PublicKey>);

impl Default for Keyring {
    fn default() -> Self {
        Keyring((0..60).map(|number| key(&format!("pool-{number}")).public_key()).collect())
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
        let place = self.0.iter().position(|known| *known == public);
        place.map_or_else(|| key(signer_name), |place| key(&format!("pool-{place}")))
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
            let class = model.classes[&payer.holder];
            edges.extend([
                payer.available,
                payer.available - payer.frozen,
                payer.frozen,
                u64::MAX as i128 - payer.frozen,
            ]);
            edges.extend(model.policy().payment.get(&class));
            edges.extend(model.policy().day.get(&class).map(|limit| limit - model.paid_today(payer.holder)));
        }
        if let Some(payee) = model.wallets.get(&to) {
            let class = model.classes[&payee.holder];
            edges.extend(model.policy().holding.get(&class).map(|limit| limit - model.holdings(payee.holder)));
        }
        edges.extend(self.edges_of_bank(from.bank.0));
        edges
    }

    fn edges_of_bank(&self, bank: u16) -> Vec<i128> {
        let (model, policy) = (self.model, self.model.policy());
        let mut edges = vec![model.reserves_of(bank)];
        edges.extend(model.treasuries.get(&bank));
        edges.extend(policy.cap.map(|cap| cap - model.supply()));
        let quota = policy.quota_of_bank.get(&bank).copied().or(policy.quota);
        edges.extend(quota.map(|quota| quota - model.issued_today(bank)));
        edges
    }

    fn amount(&self, plan: AmountPlan, edges: &[i128]) -> Amount {
        let value = match plan {
            AmountPlan::Zero => 0,
            AmountPlan::Small(value) => i128::from(value),
            AmountPlan::Edge { which, off_by } => pick(edges, which).unwrap_or(1) + i128::from(off_by),
            AmountPlan::Huge(less) => u64::MAX as i128 - i128::from(less),
        };
        amount(value.clamp(0, u64::MAX as i128) as u64)
    }

    fn person(&self, which: u8) -> (HolderId, Class) {
        let person = which % 6;
        let class = match which {
            248.. => Class(9),
            236..=247 => Class(3),
            _ => Class(person % 3),
        };
        (HolderId([person; 16]), class)
    }

    fn measure(&self, (kind, a, b, amounts): (u8, u8, u8, AmountPlan)) -> Measure {
        let class = Class(a % 4);
        let near_holdings = self.model.holdings(HolderId([b % 6; 16])) + 150;
        let limits = [300, 1_000, 2_300, self.model.supply() + 500, near_holdings];
        let limit = if b % 4 == 0 { None } else { Some(self.amount(amounts, &limits)) };
        match kind {
            0..=3 => Measure::Policy(PolicyChange::HoldingLimit { class, limit }),
            4..=5 => Measure::Policy(PolicyChange::PaymentLimit { class, limit }),
            6..=7 => Measure::Policy(PolicyChange::DayLimit { class, limit }),
            8 => Measure::Policy(PolicyChange::SupplyCap(limit)),
            9 => Measure::Policy(PolicyChange::IssuanceQuota(limit)),
            10 => Measure::Policy(PolicyChange::IssuanceQuotaOfBank { bank: BankId(self.any_bank(a)), quota: limit }),
            11..=13 => {
                let role = Role::ALL[usize::from(a) % 7];
                let node_key = (b % 2 == 0).then(|| self.keys.public(b / 2 % 40));
                let name = format!("{role} admitted");
                Measure::AdmitMember(Member {
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
                Measure::ReplaceKeys {
                    role,
                    id: self.any_member(role, a / 7),
                    signing_key: self.keys.public(b),
                    node_key,
                }
            }
            17..=18 => {
                let role = Role::ALL[usize::from(a) % 7];
                Measure::DismissMember { role, id: self.any_member(role, b) }
            }
            _ => Measure::Threshold(u16::from(a % 4)),
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

    fn certificate(&self, which: u8, holder: HolderId, class: Class, certified: PublicKey) -> Certificate {
        let registrar = self.any_member(Role::Registrar, which);
        let (version, ..) = self.signer_state(Signer::Member(Role::Registrar, registrar));
        let registrar_key_version = if which % 32 == 31 { version + 1 } else { version };
        match self.signs_for {
            None => Certificate { registrar, registrar_key_version, signature: UNSIGNED },
            Some(network) => {
                let secret = self.secret_of(Signer::Member(Role::Registrar, registrar));
                Certificate::sign(network, registrar, registrar_key_version, &secret, (holder, class, certified))
            }
        }
    }

    pub fn resolve(&self, plan: &CommandPlan) -> Command {
        let CommandPlan { act, a, b, c, .. } = *plan;
        let member = |role: Role, id: MemberId| Signer::Member(role, id);
        match act {
            Act::Transfer | Act::Defund | Act::Fund => self.payment(plan),
            Act::Open => {
                let (holder, class) = self.person(a);
                let bank = self.any_bank(b);
                let signer = member(Role::Bank, MemberId(bank));
                let (head, key) = (self.head(plan, signer), self.keys.public(c));
                let certificate = self.certificate(a ^ b, holder, class, key);
                self.sign(OpenWallet { head, bank: BankId(bank), class, holder, key, certificate }, signer).into()
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
                let certificate = self.certificate(b, holder, class, key);
                self.sign(ReplaceKey { head: self.head(plan, signer), account, key, certificate }, signer).into()
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
                let (account, court) = (self.any_account(a), self.any_member(Role::Order, b));
                let signer = member(Role::Order, court);
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
                let lapses_at = later(effective_at.0, plan.hours.1);
                let measures = plan.measures.iter().map(|measure| self.measure(*measure)).collect();
                let head = self.head(plan, signer);
                self.sign(Motion { head, member: seat, effective_at, lapses_at, measures }, signer).into()
            }
            Act::Vote => {
                let seat = self.any_member(Role::Committee, a);
                let signer = member(Role::Committee, seat);
                let latest = self.model.proposals.len() as u64;
                let proposal =
                    if b >= 240 { u64::from(b) * 1_000 } else { (latest + 1).saturating_sub(u64::from(b % 4)) };
                self.sign(Ballot { head: self.head(plan, signer), member: seat, approve: c % 8 != 0, proposal }, signer)
                    .into()
            }
            Act::Again => match pick(self.earlier, a) {
                Some(command) => command,
                None => self.resolve(&CommandPlan { act: Act::Transfer, ..plan.clone() }),
            },
        }
    }

    /// An empty wallet, if there is one and the pick is even.
    fn closable(&self, which: u8) -> AccountId {
        let empty: Vec<AccountId> =
            self.model.wallets.iter().filter(|(_, wallet)| wallet.available == 0).map(|(id, _)| *id).collect();
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
        let head = self.head(plan, signer);
        let minor = self.amount(plan.amount, &self.edges(from, to));
        self.sign(
            Payment { kind, head, from, to, amount: minor, max_fee: Amount::ZERO, reference: [plan.c; 16] },
            signer,
        )
        .into()
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
        measures: vec![],
        hours: (0, 1),
    }
}

/// What every history begins with, a block each: issuance to three banks; six persons, each with a wallet at two
/// banks; 1,000 minor units on each; limits that bind soon, proposed and voted.
pub fn beginning() -> Vec<BlockPlan> {
    let block = |commands: Vec<CommandPlan>| BlockPlan { after_ms: 1_000, commands };
    let issuing = (0..3).map(|bank| plan(Act::Issue, bank, 0, 2, 20_000)).collect();
    let opening =
        (0..12).map(|number| plan(Act::Open, number % 6, (number % 3 + number / 6) % 3, 5 * number + 2, 0)).collect();
    let funding = (0..12).map(|wallet| plan(Act::Fund, 0, wallet, 2, 1_000)).collect();
    let edge = |which| AmountPlan::Edge { which, off_by: 0 };
    let holding = (0..3).map(|class| (0, class, 1, edge(2)));
    let rest = [(6, 0, 1, edge(1)), (4, 1, 1, edge(0)), (8, 0, 1, edge(3))];
    let motion = CommandPlan { measures: holding.chain(rest).collect(), ..plan(Act::Propose, 0, 0, 2, 0) };
    let deciding = vec![motion, plan(Act::Vote, 1, 1, 2, 0)];
    vec![block(issuing), block(opening), block(funding), block(deciding)]
}
