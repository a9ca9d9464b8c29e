//! What every report carries inside it, so that a page asks nothing of any network.

use crate::plot::escape;

/// The style sheet: colours by class, light and dark after the reader's system.
const STYLE: &str = include_str!("page.css");

/// The script behind the plots' read-outs.
const SCRIPT: &str = include_str!("page.js");

/// A whole page: `title` is escaped here, `body` is HTML already, `own_style` stands after the sheet that all share. The page may
/// load nothing from anywhere.
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
