//! The policy service: desk, committee and courts hand commands in; every member reads policy and books.

use std::sync::Arc;

use cbdc_ledger::command::Measure;
use cbdc_ledger::member::{Role, Seat};
use cbdc_ledger::policy::{PolicyChange, PolicySet, Proposed};
use cbdc_ledger::{AccountId, Amount, Class, Ledger};
use cbdc_node::{LedgerHandle, Membership};
use cbdc_proto::status::{invalid, not_found};
use cbdc_proto::v1;
use tonic::{Request, Response, Status};

use crate::clock::Clock;
use crate::intake::Intake;
use crate::issuance_desk::IssuanceDesk;
use crate::service::settlement::submit_unary;

const PAGE_DEFAULT: usize = 20;
const PAGE_MAX: usize = 100;

pub struct PolicyService {
    pub intake: Intake,
    pub ledger: LedgerHandle,
    pub membership: Membership,
    pub desk: IssuanceDesk,
    pub clock: Arc<Clock>,
}

#[tonic::async_trait]
impl v1::policy_server::Policy for PolicyService {
    async fn submit(&self, request: Request<v1::SubmitPolicyCommandRequest>) -> Result<Response<v1::Outcome>, Status> {
        let member = self.membership.require(&request, &[Role::Operator, Role::Committee, Role::Order])?;
        submit_unary(&self.intake, member, &request.into_inner().command).await
    }

    async fn get_policy(&self, request: Request<v1::GetPolicyRequest>) -> Result<Response<v1::PolicySet>, Status> {
        self.membership.require(&request, &Role::ALL)?;
        let version = request.into_inner().version;
        self.ledger.read(|ledger| {
            let newest = ledger.policy().in_force().version;
            let set = ledger.policy().version(version.unwrap_or(newest));
            let missing =
                || not_found(format!("there is no version {} of policy; the newest is {newest}", version.unwrap_or(0)));
            set.map(|set| Response::new(policy_to_message(set, ledger.height().0))).ok_or_else(missing)
        })
    }

    async fn get_balance_sheet(
        &self,
        request: Request<v1::GetBalanceSheetRequest>,
    ) -> Result<Response<v1::BalanceSheet>, Status> {
        self.membership.require(&request, &Role::ALL)?;
        Ok(Response::new(self.ledger.read(balance_sheet)))
    }

    async fn get_supply(&self, request: Request<v1::GetSupplyRequest>) -> Result<Response<v1::Supply>, Status> {
        self.membership.require(&request, &Role::ALL)?;
        let supply = |ledger: &Ledger| v1::Supply {
            height: ledger.height().0,
            cbdc_minor: ledger.books().cbdc().minor(),
            terms: (ledger.supply().named().iter())
                .map(|(name, term)| v1::SupplyTerm { name: (*name).to_owned(), amount_minor: term.minor() })
                .collect(),
            wallets: ledger.wallet_count() as u64,
            holders: ledger.holder_count() as u64,
        };
        Ok(Response::new(self.ledger.read(supply)))
    }

    async fn list_members(
        &self,
        request: Request<v1::ListMembersRequest>,
    ) -> Result<Response<v1::ListMembersResponse>, Status> {
        self.membership.require(&request, &Role::ALL)?;
        let members = |ledger: &Ledger| v1::ListMembersResponse {
            members: ledger.members().seats().map(member_to_message).collect(),
            threshold: u32::from(ledger.members().threshold()),
        };
        Ok(Response::new(self.ledger.read(members)))
    }

    async fn list_proposals(
        &self,
        request: Request<v1::ListProposalsRequest>,
    ) -> Result<Response<v1::ListProposalsResponse>, Status> {
        self.membership.require(&request, &Role::ALL)?;
        let v1::ListProposalsRequest { page_size, page_token } = request.into_inner();
        let size = if page_size == 0 { PAGE_DEFAULT } else { (page_size as usize).min(PAGE_MAX) };
        let below: u64 = match page_token.as_str() {
            "" => u64::MAX,
            token => {
                token.parse().map_err(|_| invalid("page_token", "expected a token as an earlier answer gave it"))?
            }
        };
        Ok(Response::new(self.ledger.read(|ledger| {
            let mut older = ledger.motions().all().iter().rev().filter(|proposed| proposed.number < below).peekable();
            let proposals: Vec<v1::Proposal> =
                older.by_ref().take(size).map(|proposed| proposal_to_message(ledger, proposed)).collect();
            let last = proposals.last().filter(|_| older.peek().is_some());
            let next_page_token = last.map(|proposal| proposal.number.to_string()).unwrap_or_default();
            v1::ListProposalsResponse { proposals, next_page_token }
        })))
    }

    async fn list_issuance_requests(
        &self,
        request: Request<v1::ListIssuanceRequestsRequest>,
    ) -> Result<Response<v1::ListIssuanceRequestsResponse>, Status> {
        self.membership.require(&request, &[Role::Operator])?;
        let requests = self.desk.waiting().iter().map(|signed| signed.to_bytes().into()).collect();
        Ok(Response::new(v1::ListIssuanceRequestsResponse { requests }))
    }

    async fn accept_clock(
        &self,
        request: Request<v1::AcceptClockRequest>,
    ) -> Result<Response<v1::AcceptClockResponse>, Status> {
        let (_, operator) = self.membership.require(&request, &[Role::Operator])?;
        tracing::warn!(target: "security", %operator, "an operator accepts the clock");
        Ok(Response::new(v1::AcceptClockResponse { time_ms: self.clock.accept().0 }))
    }
}

fn minor(amount: Option<Amount>) -> Option<u64> {
    amount.map(Amount::minor)
}

fn policy_to_message(set: &PolicySet, height: u64) -> v1::PolicySet {
    let parameters = &set.parameters;
    let class = |class: Class| {
        let rules = parameters.class(class);
        v1::ClassRules {
            class: class.to_string(),
            holding_limit_minor: minor(rules.holding_limit),
            payment_limit_minor: minor(rules.payment_limit),
            day_limit_minor: minor(rules.day_limit),
        }
    };
    let quota = |(bank, quota): (&cbdc_ledger::BankId, &Amount)| v1::BankQuota {
        bank: u32::from(bank.0),
        quota_minor: quota.minor(),
    };
    v1::PolicySet {
        version: set.version,
        in_force_since_ms: set.in_force_since.0,
        supply_cap_minor: minor(parameters.supply_cap),
        issuance_quota_minor: minor(parameters.issuance_quota),
        bank_quotas: parameters.issuance_quota_of_bank.iter().map(quota).collect(),
        classes: Class::all().map(class).collect(),
        height,
    }
}

fn balance_sheet(ledger: &Ledger) -> v1::BalanceSheet {
    use cbdc_ledger::books::BookAccount;
    let books = ledger.books();
    let balance = |account| u64::try_from(books.balance(account)).unwrap_or_default();
    let bank = |bank: cbdc_ledger::BankId| {
        let own = books.bank(bank);
        let treasury = ledger.account(AccountId::treasury(bank)).map_or(0, |account| account.available.minor());
        let seat = ledger.members().seat(Role::Bank, cbdc_ledger::MemberId(bank.0));
        v1::BankBooks {
            bank: u32::from(bank.0),
            name: seat.map(|seat| seat.member.name.clone()).unwrap_or_default(),
            loans_minor: own.loans.minor(),
            reserves_minor: own.reserves.minor(),
            deposit_facility_minor: own.deposit_facility.minor(),
            treasury_minor: treasury,
            issued_today_minor: ledger.issued_today(bank).minor(),
        }
    };
    v1::BalanceSheet {
        height: ledger.height().0,
        time_ms: ledger.tip().time.0,
        securities_minor: balance(BookAccount::Securities),
        banknotes_minor: balance(BookAccount::Banknotes),
        cbdc_minor: balance(BookAccount::Cbdc),
        offline_minor: balance(BookAccount::Offline),
        government_minor: balance(BookAccount::Government),
        equity_minor: books.equity().to_string(),
        banks: ledger.banks().map(bank).collect(),
    }
}

fn member_to_message(seat: &Seat) -> v1::Member {
    v1::Member {
        role: seat.member.role.to_string(),
        id: u32::from(seat.member.id.0),
        name: seat.member.name.clone(),
        signing_key: seat.member.signing_key.0.to_vec().into(),
        node_key: seat.member.node_key.map(|key| key.0.to_vec().into()),
        active: seat.active,
        key_version: seat.key_version,
        next_sequence: seat.window.lowest_unused(),
    }
}

fn proposal_to_message(ledger: &Ledger, proposed: &Proposed) -> v1::Proposal {
    let vote = |(member, approve): (&cbdc_ledger::MemberId, &bool)| v1::Vote {
        member: u32::from(member.0),
        approve: *approve,
    };
    v1::Proposal {
        number: proposed.number,
        proposed_by: u32::from(proposed.motion.member.0),
        fate: proposed.fate.name().to_owned(),
        carried: ledger.carried(proposed.number),
        effective_at_ms: proposed.motion.effective_at.0,
        lapses_at_ms: proposed.motion.lapses_at.0,
        closed_at_ms: proposed.closed_at.0,
        measures: proposed.motion.measures.iter().map(in_words).collect(),
        votes: proposed.ballots.iter().map(vote).collect(),
    }
}

/// A measure in words, as people who vote on it read it.
fn in_words(measure: &Measure) -> String {
    let limit = |amount: &Option<Amount>| amount.map_or("none".to_owned(), |amount| format!("{amount} minor units"));
    match measure {
        Measure::Policy(change) => match change {
            PolicyChange::SupplyCap(cap) => format!("supply cap: {}", limit(cap)),
            PolicyChange::IssuanceQuota(quota) => format!("issuance quota a ledger day and bank: {}", limit(quota)),
            PolicyChange::IssuanceQuotaOfBank { bank, quota } => {
                format!("issuance quota of bank {bank}: {}", limit(quota))
            }
            PolicyChange::HoldingLimit { class, limit: amount } => {
                format!("holding limit of {class}: {}", limit(amount))
            }
            PolicyChange::PaymentLimit { class, limit: amount } => {
                format!("payment limit of {class}: {}", limit(amount))
            }
            PolicyChange::DayLimit { class, limit: amount } => format!("day limit of {class}: {}", limit(amount)),
        },
        Measure::AdmitMember(member) => format!("admit {} {} ({})", member.role, member.id, member.name),
        Measure::ReplaceKeys { role, id, .. } => format!("replace the keys of {role} {id}"),
        Measure::DismissMember { role, id } => format!("dismiss {role} {id}"),
        Measure::Threshold(threshold) => format!("committee threshold: {threshold}"),
    }
}
