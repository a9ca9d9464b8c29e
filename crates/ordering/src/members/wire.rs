//! Between openraft's messages and those of `proto/cbdc/internal/v1/ordering.proto`.

use bytes::Bytes;
use cbdc_proto::internal as wire;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};
use openraft::{CommittedLeaderId, LeaderId};
use tonic::Status;

use crate::log_record;
use crate::types::{LogId, MemberId, StoredMembership, Types, Vote};

fn required<T>(field: Option<T>, name: &str) -> Result<T, Status> {
    field.ok_or_else(|| Status::invalid_argument(format!("expected `{name}`, found none")))
}

pub(super) fn vote_to(vote: &Vote) -> wire::Vote {
    wire::Vote { term: vote.leader_id.term, member: vote.leader_id.node_id, committed: vote.committed }
}

pub(super) fn vote_from(vote: Option<wire::Vote>) -> Result<Vote, Status> {
    let wire::Vote { term, member, committed } = required(vote, "vote")?;
    Ok(Vote { leader_id: LeaderId::new(term, member), committed })
}

pub(super) fn log_id_to(log_id: &LogId) -> wire::LogId {
    wire::LogId { term: log_id.leader_id.term, member: log_id.leader_id.node_id, index: log_id.index }
}

pub(super) fn log_id_from(log_id: wire::LogId) -> LogId {
    LogId::new(CommittedLeaderId::new(log_id.term, log_id.member), log_id.index)
}

pub(super) fn append_to(request_id: u64, request: &AppendEntriesRequest<Types>) -> wire::AppendRequest {
    wire::AppendRequest {
        request_id,
        vote: Some(vote_to(&request.vote)),
        previous: request.prev_log_id.as_ref().map(log_id_to),
        committed: request.leader_commit.as_ref().map(log_id_to),
        entries: request.entries.iter().map(log_record::record_of).collect(),
        heartbeat: false,
    }
}

/// The request in `message`. Every entry's seal is checked, and that the entries follow each other.
pub(super) fn append_from(message: wire::AppendRequest) -> Result<AppendEntriesRequest<Types>, Status> {
    let prev_log_id = message.previous.map(log_id_from);
    let first = match prev_log_id {
        Some(log_id) => log_id.index.checked_add(1).ok_or_else(|| Status::invalid_argument("the log has no end"))?,
        None => 0,
    };
    let mut entries = Vec::with_capacity(message.entries.len());
    for (index, record) in (first..).zip(&message.entries) {
        let entry = log_record::decode(index, record).map_err(|error| Status::data_loss(error.to_string()))?;
        entries.push(entry);
    }
    let vote = vote_from(message.vote)?;
    Ok(AppendEntriesRequest { vote, prev_log_id, entries, leader_commit: message.committed.map(log_id_from) })
}

pub(super) fn appended_to(request_id: u64, answer: AppendEntriesResponse<MemberId>) -> wire::AppendResponse {
    use wire::append_response::Outcome;
    let outcome = match answer {
        AppendEntriesResponse::Success => Outcome::Appended(wire::Appended {}),
        // A called member appends all or nothing; the caller then finds out from `previous`.
        AppendEntriesResponse::PartialSuccess(_) | AppendEntriesResponse::Conflict => {
            Outcome::Conflict(wire::Conflict {})
        }
        AppendEntriesResponse::HigherVote(vote) => Outcome::Newer(vote_to(&vote)),
    };
    wire::AppendResponse { request_id, outcome: Some(outcome) }
}

pub(super) fn appended_from(message: wire::AppendResponse) -> Result<AppendEntriesResponse<MemberId>, Status> {
    use wire::append_response::Outcome;
    Ok(match required(message.outcome, "outcome")? {
        Outcome::Appended(_) => AppendEntriesResponse::Success,
        Outcome::Conflict(_) => AppendEntriesResponse::Conflict,
        Outcome::Newer(vote) => AppendEntriesResponse::HigherVote(vote_from(Some(vote))?),
    })
}

pub(super) fn vote_request_to(request: &VoteRequest<MemberId>) -> wire::VoteRequest {
    wire::VoteRequest { vote: Some(vote_to(&request.vote)), last: request.last_log_id.as_ref().map(log_id_to) }
}

pub(super) fn vote_request_from(message: wire::VoteRequest) -> Result<VoteRequest<MemberId>, Status> {
    Ok(VoteRequest { vote: vote_from(message.vote)?, last_log_id: message.last.map(log_id_from) })
}

pub(super) fn vote_response_to(response: &VoteResponse<MemberId>) -> wire::VoteResponse {
    wire::VoteResponse {
        vote: Some(vote_to(&response.vote)),
        granted: response.vote_granted,
        last: response.last_log_id.as_ref().map(log_id_to),
    }
}

pub(super) fn vote_response_from(message: wire::VoteResponse) -> Result<VoteResponse<MemberId>, Status> {
    Ok(VoteResponse {
        vote: vote_from(message.vote)?,
        vote_granted: message.granted,
        last_log_id: message.last.map(log_id_from),
    })
}

pub(super) fn membership_to(membership: &StoredMembership) -> Bytes {
    serde_json::to_vec(membership).expect("a membership has only numbers and strings, which JSON can hold").into()
}

pub(super) fn membership_from(bytes: &Bytes) -> Result<StoredMembership, Status> {
    serde_json::from_slice(bytes)
        .map_err(|error| Status::invalid_argument(format!("expected a membership, found other bytes: {error}")))
}
