//! The paging arguments that the lists of policy share.

use clap::Args;

#[derive(Args, Debug)]
pub struct Page {
    /// Entries on the page, at most 100
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub count: u32,
    /// Continue from here: `next_page_token` of an earlier answer
    #[arg(long = "page", value_name = "TOKEN")]
    pub token: Option<String>,
}
