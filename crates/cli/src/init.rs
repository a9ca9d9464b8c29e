//! `cbdc init`: a new network's folder.

use std::path::PathBuf;

use cbdc_devnet::policy::{CURRENCY_EXPONENT, Preset};
use cbdc_devnet::{Network, NetworkSpec, Ports};
use clap::Args;
use clap::builder::RangedU64ValueParser;
use serde_json::{Value, json};

use crate::output::{Output, fields, shell_word, table};
use crate::preset::cautions;

/// Create a network's folder: genesis, keys, certificates and configurations
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cbdc init mynet                             three banks on ports 7000 to 7003
  cbdc init mynet --banks 5 --base-port 8000
  cbdc init mynet --central-banks 3           one node of three may be lost
  cbdc init mynet --no-limits                 a first policy without limits
  cbdc init mynet --preset digital-euro       a first policy of published figures
  cbdc init mynet --force                     replace an existing network, with all its data")]
pub struct Init {
    /// The folder to create
    dir: PathBuf,
    #[command(flatten)]
    shape: Shape,
    /// Replace an existing network, with all its data
    #[arg(long)]
    force: bool,
}

/// The banks and the central bank's port of a new network, where none are named.
const BANKS: u16 = 3;
const BASE_PORT: u16 = 7000;

/// The shape of a new network.
#[derive(Args, Debug)]
pub struct Shape {
    /// Commercial banks
    #[arg(
        long,
        value_name = "N",
        default_value_t = BANKS,
        value_parser = RangedU64ValueParser::<u16>::new().range(1..=99)
    )]
    pub banks: u16,
    /// Nodes of the central bank: 1, or an odd number up to 7; with 3 one may be lost, with 5 two, and payments go on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = central_banks)]
    pub central_banks: u16,
    /// Nodes of the central bank that must sign a block's header before it counts
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub header_signatures: u16,
    /// The central bank's port; bank N listens on this + N, the central bank's node K from the second on, on this + 200
    /// + K, metrics 100 above each; 0 picks free ports
    #[arg(long, value_name = "PORT", default_value_t = BASE_PORT)]
    pub base_port: u16,
    /// Start with a policy without limits
    #[arg(long)]
    pub no_limits: bool,
    /// Start with a preset's policy and currency
    #[arg(long, value_name = "NAME", conflicts_with = "no_limits", value_parser = crate::preset::names())]
    pub preset: Option<String>,
    /// The operator endorses banks' requests by hand (cbdc policy endorse), not automatically
    #[arg(long)]
    pub manual_operator: bool,
}

/// Reads the number of the central bank's nodes.
fn central_banks(text: &str) -> Result<u16, String> {
    let wrong = |expected: String| format!("expected {expected}");
    let count = text.parse().map_err(|_| wrong("an odd number from 1 to 7".to_owned()))?;
    NetworkSpec::check_central_banks(count).map_err(wrong)
}

impl Shape {
    pub fn spec(&self) -> NetworkSpec {
        let ports = if self.base_port == 0 { Ports::Free } else { Ports::From(self.base_port) };
        let automatic_operator = !self.manual_operator;
        let spec = NetworkSpec {
            banks: self.banks,
            central_banks: self.central_banks,
            header_signatures: self.header_signatures,
            ports,
            automatic_operator,
            ..NetworkSpec::default()
        };
        match self.preset() {
            Some(preset) => NetworkSpec {
                currency: preset.currency.clone(),
                currency_exponent: CURRENCY_EXPONENT,
                policy: preset.parameters(),
                ..spec
            },
            None if self.no_limits => spec.without_limits(),
            None => spec,
        }
    }

    fn preset(&self) -> Option<Preset> {
        self.preset.as_deref().and_then(Preset::named)
    }

    /// Prints a note of what was asked for and is for new networks alone.
    pub fn note_unused(&self, network: &Network, output: &Output) {
        let mut unused = Vec::new();
        let mut note = |is_given: bool, option: String| unused.extend(is_given.then_some(option));
        let banks = network.banks().count();
        note(self.banks != BANKS && usize::from(self.banks) != banks, format!("--banks {}", self.banks));
        let central_banks = network.central_banks().count();
        let asked_for = self.central_banks;
        note(asked_for != 1 && usize::from(asked_for) != central_banks, format!("--central-banks {asked_for}"));
        let signatures = self.header_signatures;
        let are_others = signatures != 1 && signatures != network.anchor().genesis().header_signatures;
        note(are_others, format!("--header-signatures {signatures}"));
        note(self.base_port != BASE_PORT && self.base_port != 0, format!("--base-port {}", self.base_port));
        note(self.no_limits, "--no-limits".to_owned());
        note(self.preset.is_some(), format!("--preset {}", self.preset.as_deref().unwrap_or_default()));
        note(self.manual_operator, "--manual-operator".to_owned());
        if !unused.is_empty() {
            let unused = unused.join(", ");
            let central_bank = match central_banks {
                1 => "one node of the central bank".to_owned(),
                nodes => format!("{nodes} nodes of the central bank"),
            };
            output.note(&format!(
                "note: {unused}: for a new network only; this one goes on as it is, with {central_bank} and {banks} \
                banks (--force begins another)"
            ));
        }
    }

    /// Prints a note on the provisional figures of the preset, if one is used.
    pub fn caution(&self, output: &Output) {
        self.preset().iter().flat_map(cautions).for_each(|caution| output.note(&caution));
    }
}

impl Init {
    pub fn run(self, output: &Output) -> anyhow::Result<()> {
        // A signal while the folder is made does not leave half of it: the command ends a moment later by itself.
        let _signals = crate::shutdown::requested(false);
        let spec = self.shape.spec();
        let network =
            if self.force { Network::create_or_replace(&self.dir, &spec)? } else { Network::create(&self.dir, &spec)? };
        self.shape.caution(output);
        let nodes = nodes(&network)?;
        output.print(
            json!({ "network_id": network.anchor().network().to_string(), "dir": self.dir, "nodes": nodes }),
            || {
                let start = format!("cbdc up {}", shell_word(&self.dir));
                let about = fields(&[
                    ("network", network.anchor().network().to_string()),
                    ("folder", self.dir.display().to_string()),
                    ("start it", start),
                ]);
                format!("{about}\n{}", nodes_table(&nodes))
            },
        );
        Ok(())
    }
}

/// Every node with its addresses.
pub fn nodes(network: &Network) -> anyhow::Result<Vec<Value>> {
    let node = |name| {
        let metrics = network.metrics_address(name)?.map(|address| format!("http://{address}/metrics"));
        Ok(json!({ "node": name.to_string(), "grpc": network.address(name)?, "metrics": metrics }))
    };
    network.nodes().map(node).collect()
}

pub fn nodes_table(nodes: &[Value]) -> String {
    let text = |node: &Value, key: &str| node[key].as_str().unwrap_or("-").to_owned();
    let has_parts = nodes.iter().any(|node| node["part"].is_string());
    let columns = [("node", "node"), ("grpc", "gRPC"), ("metrics", "metrics"), ("part", "part")];
    let columns = &columns[..if has_parts { 4 } else { 3 }];
    let headings: Vec<&str> = columns.iter().map(|(_, heading)| *heading).collect();
    let row = |node: &Value| columns.iter().map(|(key, _)| text(node, key)).collect();
    table(&headings, &nodes.iter().map(row).collect::<Vec<_>>())
}
