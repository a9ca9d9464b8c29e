//! What a wallet's or an operator's program sees of the client library, against a bank that the tests play.

mod folder;
mod payment_stream;
mod receipts;
mod sessions;
mod support;
mod vectors;
mod wallet;
