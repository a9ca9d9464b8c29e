//! The history of reclassified holders' classes.

use std::collections::BTreeMap;

use super::encoding::{DecodeError, Reader, Writer};
use crate::types::identity::Class;
use crate::types::time::LedgerDay;

/// By a reclassified holder's position: from which day each of their classes held, in order.
pub(crate) type ClassHistory = BTreeMap<u32, Vec<(LedgerDay, Class)>>;

pub(crate) fn encode(histories: &ClassHistory, out: &mut Writer) {
    out.u32(histories.len() as u32);
    for (holder, history) in histories {
        out.u32(*holder).u32(history.len() as u32);
        history.iter().for_each(|(from, class)| {
            out.u32(from.0).u8(class.0);
        });
    }
}

pub(crate) fn decode(input: &mut Reader<'_>) -> Result<BTreeMap<u32, Vec<(LedgerDay, Class)>>, DecodeError> {
    let mut histories = BTreeMap::new();
    for _ in 0..input.u32()? {
        let holder = input.u32()?;
        let mut history = Vec::new();
        for _ in 0..input.u32()? {
            history.push((LedgerDay(input.u32()?), Class::decode(input)?));
        }
        if history.is_empty() {
            return Err(input.wrong("at least one class in a history", 0));
        }
        histories.insert(holder, history);
    }
    Ok(histories)
}
