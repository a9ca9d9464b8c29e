//! The reading side of governance, open to every member: members, policy and its votes, the books, programmes.

use cbdc_ledger::Height;
use cbdc_ledger::policy::{Parameters, text};
use cbdc_proto::v1;

use super::GovernanceClient;
use crate::error::ClientError;

impl GovernanceClient {
    /// All members with their keys and next sequence numbers, and the committee's threshold.
    pub async fn members(&self) -> Result<v1::ListMembersResponse, ClientError> {
        let message = v1::ListMembersRequest {};
        self.ask(message, |mut policy, request| async move { policy.list_members(request).await }).await
    }

    /// The parameters in force, or those of an earlier version.
    pub async fn policy(&self, version: Option<u32>) -> Result<v1::PolicySet, ClientError> {
        self.ask_policy(v1::GetPolicyRequest { version, height: None }).await
    }

    /// The parameters in force at the end of a block.
    pub async fn policy_at(&self, height: Height) -> Result<v1::PolicySet, ClientError> {
        self.ask_policy(v1::GetPolicyRequest { version: None, height: Some(height.0) }).await
    }

    async fn ask_policy(&self, message: v1::GetPolicyRequest) -> Result<v1::PolicySet, ClientError> {
        self.ask(message, |mut policy, request| async move { policy.get_policy(request).await }).await
    }

    /// The parameters in force as the ledger's type, so that some can be changed and the difference proposed.
    pub async fn parameters(&self) -> Result<Parameters, ClientError> {
        let set = self.policy(None).await?;
        let exponent = self.anchor.genesis().currency_exponent;
        let mut parameters = Parameters::default();
        for v1::Parameter { name, value } in &set.parameters {
            text::set(&mut parameters, name, value, exponent)
                .map_err(|error| self.central_bank.any().bad_answer(error))?;
        }
        Ok(parameters)
    }

    /// A page of versions of policy, newest first, each with its changes and the governance proposal that enacted it.
    /// `page_size` is at most 100.
    pub async fn policy_versions(
        &self,
        page_size: u32,
        page_token: Option<String>,
    ) -> Result<v1::ListPolicyVersionsResponse, ClientError> {
        let message = v1::ListPolicyVersionsRequest { page_size, page_token: page_token.unwrap_or_default() };
        self.ask(message, |mut policy, request| async move { policy.list_policy_versions(request).await }).await
    }

    /// A page of governance proposals with their votes, newest first. `page_size` is at most 100.
    pub async fn proposals(
        &self,
        page_size: u32,
        page_token: Option<String>,
    ) -> Result<v1::ListProposalsResponse, ClientError> {
        let message = v1::ListProposalsRequest { page_size, page_token: page_token.unwrap_or_default() };
        self.ask(message, |mut policy, request| async move { policy.list_proposals(request).await }).await
    }

    /// The central bank's books, without the interest accrued on wallets.
    pub async fn balance_sheet(&self) -> Result<v1::BalanceSheet, ClientError> {
        self.ask_balance_sheet(false).await
    }

    /// The central bank's books, with the unposted interest accrued on wallets. Linear in the number of wallets.
    pub async fn balance_sheet_with_unposted_interest(&self) -> Result<v1::BalanceSheet, ClientError> {
        self.ask_balance_sheet(true).await
    }

    async fn ask_balance_sheet(&self, with_unposted_interest: bool) -> Result<v1::BalanceSheet, ClientError> {
        let message = v1::GetBalanceSheetRequest { with_unposted_interest };
        self.ask(message, |mut policy, request| async move { policy.get_balance_sheet(request).await }).await
    }

    /// Base money, and the CBDC by class of holder. Linear in the number of wallets.
    pub async fn aggregates(&self) -> Result<v1::Aggregates, ClientError> {
        let message = v1::GetAggregatesRequest {};
        self.ask(message, |mut policy, request| async move { policy.get_aggregates(request).await }).await
    }

    /// The central bank's profit and loss since genesis, by source.
    pub async fn profit_and_loss(&self) -> Result<v1::ProfitAndLoss, ClientError> {
        let message = v1::GetProfitAndLossRequest {};
        self.ask(message, |mut policy, request| async move { policy.get_profit_and_loss(request).await }).await
    }

    /// CBDC in circulation, and the terms that add up to it.
    pub async fn supply(&self) -> Result<v1::Supply, ClientError> {
        let message = v1::GetSupplyRequest {};
        self.ask(message, |mut policy, request| async move { policy.get_supply(request).await }).await
    }

    /// A page of payments to cohorts, newest first. `page_size` is at most 100.
    pub async fn programmes(
        &self,
        page_size: u32,
        page_token: Option<String>,
    ) -> Result<v1::ListProgrammesResponse, ClientError> {
        let message = v1::ListProgrammesRequest { page_size, page_token: page_token.unwrap_or_default() };
        self.ask(message, |mut policy, request| async move { policy.list_programmes(request).await }).await
    }
}
