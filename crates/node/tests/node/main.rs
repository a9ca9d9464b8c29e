//! What central banks' and banks' nodes share: the archive of blocks, configuration, and recovery.

mod archive;
mod config;
mod recovery;
