//! The policy service: operators, committee, registrar and courts submit commands; every member reads policy and books.
//!
//! Modules: [`versions`] (parameters, votes and their effects), [`books`] (balance sheet, aggregates, profit and loss),
//! [`programmes`], [`page`] (lists, newest first), [`format`] (actions as sentences).
//!
//! Answers that are linear in the number of wallets are computed on a blocking thread, once for all callers at the same
//! time ([`shared_survey`]). They delay settlement while they read the ledger, as every reader does.

mod books;
mod format;
mod page;
mod programmes;
mod shared_survey;
mod versions;

use std::sync::Arc;

use cbdc_ledger::member::{Role, Seat};
use cbdc_ledger::{BankId, Height, Ledger, MemberId};
use cbdc_node::{Archive, LedgerHandle, Membership, look_up};
use cbdc_proto::convert::number_u16;
use cbdc_proto::status::{invalid, not_found, of_refusal, unavailable};
use cbdc_proto::v1;
use tonic::{Request, Response, Status};

use self::page::Page;
use self::shared_survey::SharedSurvey;
use crate::clock::Clock;
use crate::intake::Intake;
use crate::issuance_queue::IssuanceQueue;
use crate::leading::Leading;
use crate::service::settlement::{not_announced, submit_unary};
use crate::witnesses::{Testimony, Witnesses};

/// Roles that submit commands here; intake checks which kinds. Banks use the settlement service.
const SUBMITTERS: [Role; 4] = [Role::Operator, Role::Committee, Role::Registrar, Role::Court];

pub struct PolicyService {
    pub intake: Intake,
    pub ledger: LedgerHandle,
    pub membership: Membership,
    pub issuance_queue: IssuanceQueue,
    pub clock: Arc<Clock>,
    pub witnesses: Arc<Witnesses>,
    pub leading: Arc<Leading>,
    pub archive: Arc<Archive>,
    pub surveys: Surveys,
}

/// The answers that are linear in the number of wallets.
#[derive(Default)]
pub struct Surveys {
    balance_sheet: SharedSurvey<v1::BalanceSheet>,
    aggregates: SharedSurvey<v1::Aggregates>,
}

impl PolicyService {
    fn require<T>(&self, request: &Request<T>, roles: &[Role]) -> Result<(Role, MemberId), Status> {
        self.witnesses.require(&self.membership, request, roles)
    }

    /// Reads the whole ledger without blocking an async thread.
    async fn survey<R: Send + 'static>(
        &self,
        look: impl FnOnce(&Ledger) -> R + Send + 'static,
    ) -> Result<Response<R>, Status> {
        self.look(look).await.map(Response::new)
    }

    fn look<R, F>(&self, look: F) -> impl Future<Output = Result<R, Status>> + Send + use<R, F>
    where
        R: Send + 'static,
        F: FnOnce(&Ledger) -> R + Send + 'static,
    {
        let ledger = self.ledger.clone();
        async move {
            let of = ledger.clone();
            let looked = look_up(move || of.read(|ledger| (look(ledger), ledger.height()))).await;
            let (found, height) = looked.map_err(|_| stopping())?;
            ledger.until_announced(height).await.map_err(not_announced)?;
            Ok(found)
        }
    }

    /// Reads what takes little time.
    async fn read<R>(&self, look: impl FnOnce(&Ledger) -> R) -> Result<Response<R>, Status> {
        self.ledger.read_announced(look).await.map(Response::new).map_err(not_announced)
    }

    /// The version of policy in force at the end of a block, as its header names it.
    async fn version_at(&self, height: Height) -> Result<u32, Status> {
        if height == Height(0) {
            return Ok(1);
        }
        let newest = *self.ledger.announced().borrow();
        let archive = self.archive.clone();
        let found = look_up(move || archive.header(height)).await;
        let found = found.map_err(|_| stopping())?.map_err(|error| {
            tracing::error!(%error, "the block archive cannot be read");
            Status::data_loss(error.to_string())
        })?;
        let header = found.filter(|_| height <= newest);
        let missing = || not_found(format!("there is no block {height}; the newest is {newest}"));
        header.map(|(signed, _)| signed.header.policy_version).ok_or_else(missing)
    }
}

fn stopping() -> Status {
    unavailable("the node is stopping")
}

#[tonic::async_trait]
impl v1::policy_server::Policy for PolicyService {
    async fn submit(&self, request: Request<v1::SubmitPolicyCommandRequest>) -> Result<Response<v1::Outcome>, Status> {
        let member = self.require(&request, &SUBMITTERS)?;
        self.leading.require().await?;
        submit_unary(&self.intake, member, &request.into_inner().command).await
    }

    async fn get_policy(&self, request: Request<v1::GetPolicyRequest>) -> Result<Response<v1::PolicySet>, Status> {
        self.require(&request, &Role::ALL)?;
        let v1::GetPolicyRequest { version, height } = request.into_inner();
        let version = match (version, height) {
            (Some(_), Some(_)) => return Err(invalid("height", "expected a version or a height, found both")),
            (None, Some(height)) => Some(self.version_at(Height(height)).await?),
            (version, None) => version,
        };
        let found = self.ledger.read_announced(|ledger| {
            let newest = ledger.policy().in_force().version;
            let version = version.unwrap_or(newest);
            let missing = || not_found(format!("there is no version {version} of policy; the newest is {newest}"));
            let set = ledger.policy().version(version).ok_or_else(missing)?;
            Ok(Response::new(versions::set_to_message(ledger, set, height.unwrap_or(ledger.height().0))))
        });
        found.await.map_err(not_announced)?
    }

    async fn list_policy_versions(
        &self,
        request: Request<v1::ListPolicyVersionsRequest>,
    ) -> Result<Response<v1::ListPolicyVersionsResponse>, Status> {
        self.require(&request, &Role::ALL)?;
        let v1::ListPolicyVersionsRequest { page_size, page_token } = request.into_inner();
        let page = Page::of(page_size, &page_token)?;
        self.read(|ledger| versions::list_versions(ledger, &page)).await
    }

    async fn get_balance_sheet(
        &self,
        request: Request<v1::GetBalanceSheetRequest>,
    ) -> Result<Response<v1::BalanceSheet>, Status> {
        self.require(&request, &Role::ALL)?;
        match request.into_inner().with_unposted_interest {
            true => {
                let compute = self.look(books::balance_sheet_with_unposted_interest);
                self.surveys.balance_sheet.ask(compute).await.unwrap_or_else(|| Err(stopping())).map(Response::new)
            }
            false => self.read(books::balance_sheet).await,
        }
    }

    async fn get_aggregates(
        &self,
        request: Request<v1::GetAggregatesRequest>,
    ) -> Result<Response<v1::Aggregates>, Status> {
        self.require(&request, &Role::ALL)?;
        let compute = self.look(books::aggregates);
        self.surveys.aggregates.ask(compute).await.unwrap_or_else(|| Err(stopping())).map(Response::new)
    }

    async fn get_profit_and_loss(
        &self,
        request: Request<v1::GetProfitAndLossRequest>,
    ) -> Result<Response<v1::ProfitAndLoss>, Status> {
        self.require(&request, &Role::ALL)?;
        self.read(books::profit_and_loss).await
    }

    async fn list_programmes(
        &self,
        request: Request<v1::ListProgrammesRequest>,
    ) -> Result<Response<v1::ListProgrammesResponse>, Status> {
        self.require(&request, &Role::ALL)?;
        let v1::ListProgrammesRequest { page_size, page_token } = request.into_inner();
        let page = Page::of(page_size, &page_token)?;
        self.survey(move |ledger| programmes::list_programmes(ledger, &page)).await
    }

    async fn get_supply(&self, request: Request<v1::GetSupplyRequest>) -> Result<Response<v1::Supply>, Status> {
        self.require(&request, &Role::ALL)?;
        self.read(books::supply).await
    }

    async fn list_members(
        &self,
        request: Request<v1::ListMembersRequest>,
    ) -> Result<Response<v1::ListMembersResponse>, Status> {
        self.require(&request, &Role::ALL)?;
        let members = |ledger: &Ledger| v1::ListMembersResponse {
            members: ledger.members().seats().map(member_to_message).collect(),
            threshold: u32::from(ledger.members().threshold()),
        };
        self.read(members).await
    }

    async fn list_proposals(
        &self,
        request: Request<v1::ListProposalsRequest>,
    ) -> Result<Response<v1::ListProposalsResponse>, Status> {
        self.require(&request, &Role::ALL)?;
        let v1::ListProposalsRequest { page_size, page_token } = request.into_inner();
        let page = Page::of(page_size, &page_token)?;
        self.read(|ledger| versions::list_proposals(ledger, &page)).await
    }

    async fn list_issuance_requests(
        &self,
        request: Request<v1::ListIssuanceRequestsRequest>,
    ) -> Result<Response<v1::ListIssuanceRequestsResponse>, Status> {
        self.require(&request, &[Role::Operator])?;
        self.leading.require().await?;
        let requests = self.issuance_queue.waiting().iter().map(|signed| signed.to_bytes().into()).collect();
        Ok(Response::new(v1::ListIssuanceRequestsResponse { requests }))
    }

    async fn reject_issuance_request(
        &self,
        request: Request<v1::RejectIssuanceRequestRequest>,
    ) -> Result<Response<v1::RejectIssuanceRequestResponse>, Status> {
        let (_, operator) = self.require(&request, &[Role::Operator])?;
        self.leading.require().await?;
        let v1::RejectIssuanceRequestRequest { bank, sequence } = request.into_inner();
        let bank = BankId(number_u16("bank", bank)?);
        match self.issuance_queue.reject(bank, sequence).await {
            Ok(true) => {
                tracing::info!(%operator, %bank, sequence, "the operator has rejected a bank's request");
                Ok(Response::new(v1::RejectIssuanceRequestResponse {}))
            }
            Ok(false) => Err(not_found(format!("no request of bank {bank} with the number {sequence} waits"))),
            Err(refusal) => Err(of_refusal(&refusal)),
        }
    }

    async fn accept_clock(
        &self,
        request: Request<v1::AcceptClockRequest>,
    ) -> Result<Response<v1::AcceptClockResponse>, Status> {
        let (_, operator) = self.require(&request, &[Role::Operator])?;
        tracing::warn!(target: "security", %operator, "an operator accepts the clock");
        Ok(Response::new(v1::AcceptClockResponse { time_ms: self.clock.accept().0 }))
    }

    async fn get_clock(&self, request: Request<v1::GetClockRequest>) -> Result<Response<v1::ClockState>, Status> {
        self.require(&request, &[Role::Operator])?;
        let (time, jumped) = (self.clock.wall(), self.clock.stamp().err());
        let ahead = |(bank, heard): (BankId, Testimony)| v1::BankClock {
            bank: bank.0.into(),
            ahead_ms: heard.clock.0.cast_signed().saturating_sub(heard.own_clock.0.cast_signed()),
        };
        let banks = self.witnesses.testimonies().into_iter().map(ahead).collect();
        // The node's own state, published or not: an operator may have to act on it.
        let look = move |ledger: &Ledger| (ledger.tip().time, ledger.due_until(time));
        let ledger = self.ledger.clone();
        let (last_block, due) = look_up(move || ledger.read(look)).await.map_err(|_| stopping())?;
        Ok(Response::new(v1::ClockState {
            time_ms: time.0,
            expected_ms: jumped.map(|jumped| jumped.expected.0),
            last_block_ms: last_block.0,
            banks,
            due: Some(v1::DueByClock {
                days: due.days,
                interest_minor: due.interest.to_string(),
                demurrage_minor: due.demurrage.to_string(),
                holds: due.holds,
                purpose_bound_minor: due.purpose_bound.minor(),
                proposals: due.proposals,
            }),
        }))
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
