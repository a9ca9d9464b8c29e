//! Settings: keys of a scenario with the values that a plan gives them.

use serde::{Deserialize, Serialize};

/// `key = value`, the value as TOML.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    pub key: String,
    pub value: String,
}
