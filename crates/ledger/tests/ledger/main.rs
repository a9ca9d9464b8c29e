//! The ledger's tests: one program, so that the reference model and the test network are compiled once, and tests of
//! all kinds run side by side.

mod banking;
mod demurrage;
mod documentation;
mod encodings;
mod filtered_blocks;
mod fuzz_seeds;
mod interest;
mod limits;
mod model;
mod policy_pages;
mod reference_model;
mod relocation;
mod replay;
mod rules;
mod state_root;
