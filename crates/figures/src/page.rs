//! What every report carries inside it, so that a page asks nothing of any network.

/// The style sheet: colours by class, light and dark after the reader's system.
pub const STYLE: &str = include_str!("page.css");

/// The script behind the plots' read-outs.
pub const SCRIPT: &str = include_str!("page.js");
