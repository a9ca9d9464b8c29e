//! The classes that reclassified holders had, each with the day from which it held.

use super::merkle_map::{Encoded, MerkleMap};
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::codec::merkle::Hash;
use crate::types::identity::Class;
use crate::types::time::LedgerDay;

/// A reclassified holder's classes, each with the day from which it held, in order.
pub(crate) type Classes = Vec<(LedgerDay, Class)>;

/// The classes of reclassified holders, by the holder's position.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct ClassHistory(MerkleMap<4, Classes>);

impl Encoded for Classes {
    fn encode(&self, out: &mut Writer) {
        out.u32(self.len() as u32);
        self.iter().for_each(|(from, class)| {
            out.u32(from.0).u8(class.0);
        });
    }
}

impl ClassHistory {
    pub(crate) fn get(&self, holder: u32) -> Option<&Classes> {
        self.0.get(&holder.to_be_bytes())
    }

    pub(crate) fn set(&mut self, holder: u32, classes: Classes) {
        self.0.insert(holder.to_be_bytes(), classes);
    }

    /// Records that a holder, previously of class `before`, has a class from a day on. The class at the end of a day is
    /// the day's.
    pub(crate) fn note(&mut self, holder: u32, before: Class, (from, class): (LedgerDay, Class)) {
        let mut classes = self.get(holder).cloned().unwrap_or_else(|| vec![(LedgerDay(0), before)]);
        if classes.last().is_some_and(|(last, _)| *last == from) {
            classes.pop();
        }
        classes.push((from, class));
        self.set(holder, classes);
    }

    /// The hash over all histories.
    pub(crate) fn root(&self) -> Hash {
        self.0.root()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Classes)> {
        self.0.iter().map(|(holder, classes)| (u32::from_be_bytes(*holder), classes))
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u32(self.0.len() as u32);
        self.iter().for_each(|(holder, classes)| classes.encode(out.u32(holder)));
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<ClassHistory, DecodeError> {
        let mut histories = ClassHistory::default();
        let mut next = 0;
        for _ in 0..input.u32()? {
            let (holder, classes) = decode_one(input)?;
            if u64::from(holder) < next {
                return Err(input.wrong("holders in ascending order", u64::from(holder)));
            }
            next = u64::from(holder) + 1;
            histories.set(holder, classes);
        }
        Ok(histories)
    }
}

/// Reads a holder's position and classes.
pub(crate) fn decode_one(input: &mut Reader<'_>) -> Result<(u32, Classes), DecodeError> {
    let holder = input.u32()?;
    let mut classes = Vec::new();
    for _ in 0..input.u32()? {
        classes.push((LedgerDay(input.u32()?), Class::decode(input)?));
    }
    match classes.is_empty() {
        true => Err(input.wrong("at least one class in a history", 0)),
        false => Ok((holder, classes)),
    }
}
