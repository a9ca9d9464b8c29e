//! The specification of a network.

use std::net::SocketAddr;

use cbdc_ledger::policy::Parameters;
use cbdc_ledger::{Amount, Class};

use super::error::NetworkError;
use super::ports;

/// The ports of the nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ports {
    /// The central bank on this port, bank `n` on this + `n`, the central bank's node `k` from the second on, on this +
    /// 200 + `k`; metrics 100 above.
    From(u16),
    /// Ports that are free when the folder is made: for tests and measurements.
    Free,
}

/// The central bank's sequencer; each `None` leaves the node's default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SequencerSpec {
    pub commands_max: Option<u32>,
    pub interval_ms: Option<u32>,
    pub queue_commands_max: Option<u32>,
    pub proposals_in_flight_max: Option<u32>,
}

/// A network to be created.
#[derive(Clone, Debug)]
pub struct NetworkSpec {
    /// 1 to 99.
    pub banks: u16,
    /// The central bank's nodes, which order together: 1, or another odd number up to 7.
    pub central_banks: u16,
    /// The number of the central bank's nodes whose signatures a header needs.
    pub header_signatures: u16,
    /// The addresses at which nodes reach the central bank's nodes, if not where these listen: proxies' of the caller.
    /// One for each node, in order, or none.
    pub reached_at: Vec<SocketAddr>,
    pub ports: Ports,
    /// Three capital letters; `XTS` is ISO 4217's code for testing.
    pub currency: String,
    /// Decimals of the major unit, at most 6.
    pub currency_exponent: u8,
    pub policy: Parameters,
    /// Each bank's reserves at the start.
    pub opening_reserves: Amount,
    pub banknotes: Amount,
    /// The central bank's own capital.
    pub equity: Amount,
    /// The longest time from now to a record's valid-until, ms.
    pub validity_ms_max: u64,
    /// The number of the three committee seats that must approve.
    pub threshold: u16,
    /// The operator approves banks' requests automatically, within the committee's limits.
    pub automatic_operator: bool,
    pub sequencer: SequencerSpec,
    /// Threads that verify signatures at the central bank; the node's own default if absent.
    pub verification_threads: Option<u32>,
    /// The least number of blocks between checkpoints; the nodes' own default if absent.
    pub checkpoint_every_blocks: Option<u64>,
    /// The central bank's nodes have disks that can be made slow, by the file
    /// [`SYNC_DELAY_MS_FILE`](NetworkSpec::SYNC_DELAY_MS_FILE) in a node's folder.
    pub slow_disks: bool,
    /// Nodes of the central bank that follow verify signatures too.
    pub verify_on_followers: bool,
    /// Banks verify signatures before they relay.
    pub precheck_signatures: bool,
    /// The number of banks with full replicas, the first ones; the others keep partial replicas.
    pub full_replicas: u16,
    /// Banks know each other's addresses, and those with full replicas catch up from each other.
    pub peers: bool,
}

impl NetworkSpec {
    pub const COMMITTEE_SEATS: u16 = 3;
    pub const BANKS_MAX: u16 = 99;
    /// The file in a node's folder that holds the milliseconds that each sync of its disk waits.
    pub const SYNC_DELAY_MS_FILE: &str = "sync-delay-ms";
    pub const CENTRAL_BANKS_MAX: u16 = 7;

    /// Checks a number of the central bank's nodes.
    ///
    /// # Errors
    /// What was expected, and why.
    pub fn check_central_banks(count: u64) -> Result<u16, String> {
        let max = NetworkSpec::CENTRAL_BANKS_MAX;
        match u16::try_from(count) {
            Ok(count) if (1..=max).contains(&count) && count % 2 == 1 => Ok(count),
            Ok(count) if (1..=max).contains(&count) => Err(format!(
                "an odd number of the central bank's nodes from 1 to {max}: a majority must be up, so {count} tolerate \
                 no more failures than {}",
                count - 1
            )),
            _ => Err(format!("an odd number of the central bank's nodes from 1 to {max}")),
        }
    }

    fn check(&self) -> Result<(), NetworkError> {
        let wrong = |expected: String, found: String| Err(NetworkError::Spec { expected, found });
        if self.banks == 0 || self.banks > NetworkSpec::BANKS_MAX {
            return wrong(format!("1 to {} banks", NetworkSpec::BANKS_MAX), self.banks.to_string());
        }
        if let Err(expected) = NetworkSpec::check_central_banks(u64::from(self.central_banks)) {
            return wrong(expected, self.central_banks.to_string());
        }
        if !(1..=self.central_banks).contains(&self.header_signatures) {
            let expected = match self.central_banks {
                1 => "1 signature a header, as there is one node of the central bank".to_owned(),
                nodes => format!("1 to {nodes} signatures a header, as there are {nodes} nodes of the central bank"),
            };
            return wrong(expected, self.header_signatures.to_string());
        }
        if ![0, usize::from(self.central_banks)].contains(&self.reached_at.len()) {
            let expected = format!("no addresses of proxies, or {}", self.central_banks);
            return wrong(expected, self.reached_at.len().to_string());
        }
        if let Ports::From(base) = self.ports {
            let above = ports::highest_above_base(self.central_banks, self.banks);
            if base == 0 || u32::from(base) + u32::from(above) > u32::from(u16::MAX) {
                return wrong(format!("a base port from 1 to {}", u16::MAX - above), base.to_string());
            }
        }
        if self.currency.len() != 3 {
            return wrong(
                "a currency of three capital letters, such as XTS".to_owned(),
                format!("`{}`", self.currency),
            );
        }
        Ok(())
    }

    /// Checks what genesis does not check.
    pub(super) fn checked(&self) -> Result<&NetworkSpec, NetworkError> {
        self.check().map(|()| self)
    }

    /// The same network without limits, for measurements of anything but policy.
    pub fn without_limits(mut self) -> NetworkSpec {
        self.policy = Parameters::default();
        self
    }
}

impl Default for NetworkSpec {
    /// One node of the central bank and three banks on ports 7000 to 7003, 100 million of reserves each, and a first
    /// policy with every kind of limit.
    fn default() -> Self {
        let major = |amount: u64| Some(Amount::from_minor(amount * 100));
        let mut policy =
            Parameters { supply_cap: major(1_000_000_000), issuance_quota: major(50_000_000), ..Parameters::default() };
        // The digital euro's figures under discussion: 3,000 a person (illustrative, not law). Shops are not limited,
        // since a new wallet is not linked to a deposit that could take the excess.
        let household = &mut policy.classes[Class::HOUSEHOLD.index()];
        household.holding_limit = major(3_000);
        household.payment_limit = major(1_000);
        household.day_limit = major(5_000);
        NetworkSpec {
            banks: 3,
            central_banks: 1,
            header_signatures: 1,
            reached_at: Vec::new(),
            ports: Ports::From(7000),
            currency: "XTS".to_owned(),
            currency_exponent: 2,
            policy,
            opening_reserves: Amount::from_minor(100_000_000 * 100),
            banknotes: Amount::from_minor(200_000_000 * 100),
            equity: Amount::from_minor(10_000_000 * 100),
            validity_ms_max: 24 * 3_600_000,
            threshold: 2,
            automatic_operator: true,
            sequencer: SequencerSpec::default(),
            verification_threads: None,
            checkpoint_every_blocks: None,
            slow_disks: false,
            verify_on_followers: false,
            precheck_signatures: true,
            full_replicas: NetworkSpec::BANKS_MAX,
            peers: true,
        }
    }
}
