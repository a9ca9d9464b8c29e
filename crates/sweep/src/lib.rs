//! Sweeps: batches of simulated economies, one scenario in several designs, each with several seeds, on any number of
//! machines.
//!
//! # What it promises
//! - **Three steps, one folder.** [`Plan::read`] turns a plan file into numbered runs; [`run::run`] simulates one part
//!   of them; [`merge::merge`] makes tables, a summary and a page of all. Parts share nothing but the folder.
//! - **Whole or not at all.** A run's results appear under their final name in one rename, after they are on the disk.
//!   A killed process leaves nothing that could be mistaken for a result; finished runs are not simulated again.
//! - **The same everywhere.** A run depends on its scenario and its seed alone, so the merged files are identical for
//!   any number of threads, parts and machines, with one version of this program.
//! - **Traceable.** A plan carries the scenario's text; every run carries its scenario's hash, seed, version and
//!   digest, and the hash of each of its tables. A mismatch is refused with both sides named.
//! - **Paired.** All designs see the same seeds: seed by seed, designs differ in their settings and in nothing else.
//!
//! # A folder
//! ```text
//! plan.json                     the runs, by number
//! runs/000017/run.json          what run 17 is, its digest, the hash of each of its tables
//! runs/000017/macro.parquet     … and banks, households, payments, events, figures
//! macro.parquet …               merged: the same tables of all runs, and runs.parquet, the run index
//! summary.json report.html      merged: every design's figures over its seeds, and the page
//! ```
//!
//! # Modules, low to high
//! | module | holds |
//! |---|---|
//! | [`error`] | errors of planning, running and merging |
//! | [`table`] | columns, and Parquet files of them |
//! | [`quantiles`] | mean and percentiles over seeds |
//! | [`folder`] | paths within a sweep's folder |
//! | [`setting`] | a key of the scenario with its value |
//! | [`plan_file`] | a plan file as read |
//! | [`latin_hypercube`] | designs that fill a space evenly |
//! | [`plan`] | numbered runs |
//! | [`part`] | one process's share of the runs |
//! | [`run_folder`] | one run's results on the disk |
//! | [`run`](mod@run) | simulating a part, and estimating its time |
//! | [`summary`] | every design's figures over its seeds |
//! | [`merge`](mod@merge), [`report`] | all runs as tables, summary and page |

#![forbid(unsafe_code)]

pub mod error;
pub mod folder;
pub mod latin_hypercube;
pub mod merge;
pub mod part;
pub mod plan;
pub mod plan_file;
pub mod quantiles;
pub mod report;
pub mod run;
pub mod run_folder;
pub mod setting;
pub mod summary;
pub mod table;

pub use error::SweepError;
pub use merge::merge;
pub use part::{Part, PartError};
pub use plan::Plan;
pub use run::{Done, OnProgress, Progress, estimate, run};
pub use summary::Merged;
