//! Shortening of a run that fails: fewer and shorter faults, fewer decisions and wallets, as long as the same property
//! is broken.

use crate::plan::{Plan, Shape};

/// Tries shorter plans as long as `fails` says that one still fails. `tell` hears of each that does. At most `tries`
/// plans are tried.
pub fn shrink(plan: &Plan, mut tries: u32, mut fails: impl FnMut(&Plan) -> bool, tell: impl Fn(&Plan)) -> Plan {
    let mut best = plan.clone();
    let mut attempt = |best: &mut Plan, plan: Plan| {
        if tries == 0 || plan == *best {
            return false;
        }
        tries -= 1;
        let shorter = fails(&plan);
        if shorter {
            *best = plan;
            tell(best);
        }
        shorter
    };
    // Faults, in pieces that get smaller, from the last to the first: what comes later cannot be a cause of what came
    // before.
    let mut piece = best.faults.len().div_ceil(2);
    while piece > 0 {
        let mut end = best.faults.len();
        while end > 0 {
            let start = end.saturating_sub(piece);
            let mut plan = best.clone();
            plan.faults.drain(start..end.min(plan.faults.len()));
            attempt(&mut best, plan);
            end = start;
        }
        piece /= 2;
    }
    for index in (0..best.decisions.len()).rev() {
        let mut plan = best.clone();
        plan.decisions.remove(index);
        attempt(&mut best, plan);
    }
    for index in 0..best.faults.len() {
        let mut plan = best.clone();
        plan.faults[index].lasts_ms = (plan.faults[index].lasts_ms / 2).max(1);
        attempt(&mut best, plan);
    }
    let last = best.faults.iter().map(|planned| planned.at_ms + planned.lasts_ms).max().unwrap_or(0);
    let mut plan = best.clone();
    plan.shape.duration_ms = plan.shape.duration_ms.min(last + 100);
    attempt(&mut best, plan);
    while best.shape.wallets > Shape::wallets_min(best.shape.banks) {
        let mut plan = best.clone();
        plan.shape.wallets -= 1;
        if !attempt(&mut best, plan) {
            break;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Fault;
    use crate::plan::Wanted;

    #[test]
    fn what_the_failure_does_not_need_is_left_out() {
        let plan = (0..100).map(|seed| Plan::draw(seed, Wanted::default())).find(|plan| plan.faults.len() > 6).unwrap();
        let needed = (plan.faults[2], plan.faults[4]);
        let fails = |plan: &Plan| {
            let has = |fault: Fault| plan.faults.iter().any(|planned| planned.fault == fault);
            has(needed.0.fault) && has(needed.1.fault)
        };
        let shorter = shrink(&plan, 1_000, fails, |_| {});
        assert!(fails(&shorter));
        assert_eq!((shorter.faults.len(), shorter.shape.wallets), (2, Shape::wallets_min(shorter.shape.banks)));
    }
}
