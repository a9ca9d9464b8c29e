//! Crashes: real nodes on real disks, killed (SIGKILL) at random moments while money is in transit.
//!
//! | module | holds |
//! |---|---|
//! | [`kills`] | the plan of a test, drawn from one seed: who is killed when, and how long it stays away |
//! | [`load`] | a heavy load of payments between wallets: every answer against the chain |
//! | [`deposits`] | payments that draw on deposits and flow onto them: I3 to the cent, for each bank and each holder |
//! | [`holders`] | the payers of [`deposits`], and the status that each was told |
//! | [`stopped`] | a central bank that hangs in the middle of a payment |
//! | [`restarted`] | a bank that was stopped or killed while copies were unanswered |
//! | [`replicas`] | three nodes of the central bank, disturbed at random; every answer against every node's chain |
//! | [`books`] | the wallets and deposits that follow from the chain |
//!
//! `CBDC_CRASH_ROUNDS` sets the number of rounds, `CBDC_CRASH_SEED` repeats a failed plan.

mod books;
mod deposits;
mod holders;
mod kills;
mod load;
mod replicas;
mod restarted;
mod stopped;
