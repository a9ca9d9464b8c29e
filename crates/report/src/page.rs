//! The page around every report: style and script are inline, so that it loads nothing from any network.

use crate::plot::escape;

/// The style sheet: colours by class, light or dark as the reader's system is set.
const STYLE: &str = include_str!("page.css");

/// The script for the plots' read-outs.
const SCRIPT: &str = include_str!("page.js");

/// A whole page: `title` is escaped here, `body` is HTML already, `own_style` follows the shared style sheet. The
/// page's security policy forbids loading anything.
pub fn document(title: &str, own_style: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'; img-src data:\">\
         <title>{}</title><style>{STYLE}{own_style}</style></head><body><main>{body}</main>\
         <script>{SCRIPT}</script></body></html>\n",
        escape(title)
    )
}
