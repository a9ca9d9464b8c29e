//! The replications against what their papers print: figures where they are exact, signs and orders where they are not.

mod exact;
mod signs;
