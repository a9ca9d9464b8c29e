//! Proposals under vote: from propose to enacted, lapsed or void.
//!
//! 1. A committee member proposes measures; that is also the member's vote for them.
//! 2. Members vote; a later vote of the same member replaces the earlier one.
//! 3. A proposal is *carried* while at least `threshold` active members approve.
//! 4. The first block at or after the effective time enacts a carried proposal. A proposal that is not carried when
//!    `lapses_at` comes has lapsed; one that a motion enacted before it made impossible is void.

use std::collections::{BTreeMap, BTreeSet};

use crate::command::{Measure, Motion, Record};
use crate::encoding::{DecodeError, Reader, Writer};
use crate::identity::MemberId;
use crate::time::Timestamp;
use cbdc_signatures::Signature;

/// How many proposals may be open at once.
pub const OPEN_MAX: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Fate {
    Open = 1,
    Enacted = 2,
    Lapsed = 3,
    /// Carried, but a measure could no longer be enacted (such as admitting a member that exists by then).
    Void = 4,
}

impl Fate {
    pub fn name(self) -> &'static str {
        match self {
            Fate::Open => "open",
            Fate::Enacted => "enacted",
            Fate::Lapsed => "lapsed",
            Fate::Void => "void",
        }
    }
}

pub type Ballots = BTreeMap<MemberId, bool>;

/// A proposal and how it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposed {
    pub number: u64,
    pub motion: Motion,
    pub ballots: Ballots,
    pub fate: Fate,
    /// When it was enacted, lapsed or became void.
    pub closed_at: Timestamp,
}

/// All proposals there have been, by number from 1, and which of them are open.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Motions {
    all: Vec<Proposed>,
    open: BTreeSet<u64>,
}

impl Motions {
    pub fn all(&self) -> &[Proposed] {
        &self.all
    }

    pub fn get(&self, number: u64) -> Option<&Proposed> {
        self.all.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut Proposed> {
        self.all.get_mut(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    /// Notes what became of an open proposal.
    pub(crate) fn close(&mut self, number: u64, fate: Fate, closed_at: Timestamp) {
        if let Some(proposed) = self.get_mut(number) {
            (proposed.fate, proposed.closed_at) = (fate, closed_at);
        }
        self.open.remove(&number);
    }

    pub fn open(&self) -> impl Iterator<Item = &Proposed> {
        self.open.iter().filter_map(|number| self.get(*number))
    }

    /// Takes a motion up with its proposer's vote, and returns its number.
    pub(crate) fn take_up(&mut self, motion: Motion) -> u64 {
        let number = self.all.len() as u64 + 1;
        let ballots = Ballots::from([(motion.member, true)]);
        self.open.insert(number);
        self.all.push(Proposed { number, motion, ballots, fate: Fate::Open, closed_at: Timestamp(0) });
        number
    }

    /// The earliest time at which an open proposal is enacted or lapses: a block is due then even without payments.
    pub fn next_due(&self, is_carried: impl Fn(&Proposed) -> bool) -> Option<Timestamp> {
        self.open()
            .map(|proposed| if is_carried(proposed) { proposed.motion.effective_at } else { proposed.motion.lapses_at })
            .min()
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u64(self.all.len() as u64);
        for proposed in &self.all {
            let motion = proposed.motion.to_bytes();
            out.u32(motion.len() as u32).raw(&motion);
            out.u8(proposed.fate as u8).u64(proposed.closed_at.0).u16(proposed.ballots.len() as u16);
            for (member, approve) in &proposed.ballots {
                out.u16(member.0).u8(u8::from(*approve));
            }
        }
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Motions, DecodeError> {
        let mut motions = Motions::default();
        for number in 1..=input.u64()? {
            let length = input.u32()? as usize;
            let motion = decode_motion(input.raw(length)?)?;
            let fate = match input.u8()? {
                1 => Fate::Open,
                2 => Fate::Enacted,
                3 => Fate::Lapsed,
                4 => Fate::Void,
                other => return Err(input.wrong("a known fate of a proposal", u64::from(other))),
            };
            let closed_at = Timestamp(input.u64()?);
            let mut ballots = Ballots::new();
            for _ in 0..input.u16()? {
                ballots.insert(MemberId(input.u16()?), input.boolean()?);
            }
            if fate == Fate::Open {
                motions.open.insert(number);
            }
            motions.all.push(Proposed { number, motion, ballots, fate, closed_at });
        }
        Ok(motions)
    }
}

/// Reads an unsigned motion by giving it a signature of zeros.
fn decode_motion(bytes: &[u8]) -> Result<Motion, DecodeError> {
    let padded = [bytes, &Signature([0; 64]).0].concat();
    match crate::command::Command::from_bytes(&padded)? {
        crate::command::Command::Propose(signed) => Ok(signed.record),
        other => Err(DecodeError::Value { what: "proposal", expected: "a motion", found: other.kind() as u64 }),
    }
}

/// The policy changes among measures.
pub(crate) fn policy_changes(measures: &[Measure]) -> Vec<crate::policy::PolicyChange> {
    let changes = measures.iter().filter_map(|measure| match measure {
        Measure::Policy(change) => Some(*change),
        _ => None,
    });
    changes.collect()
}
