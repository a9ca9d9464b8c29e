//! Members: the participants of the network other than holders, with their roles and keys.
//!
//! Genesis names the first members; later ones join, change keys and leave through the committee's proposals. A member
//! has a signing key for commands and, if it connects to nodes, a node key that its TLS certificate must carry.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use cbdc_signatures::PublicKey;

use super::sections::{Kept, digest};
use super::sequence::WideWindow;
use crate::codec::encoding::{DecodeError, Reader, Writer};
use crate::codec::merkle::Hash;
use crate::types::identity::{BankId, MemberId};

/// A member's role. Holders are not members: they act through their wallets' keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Role {
    /// A node of the central bank: orders and settles, and signs headers.
    CentralBank = 1,
    /// A seat on the monetary policy committee.
    Committee = 2,
    /// The central bank's operations desk.
    Operator = 3,
    /// A commercial bank; its member number is its bank number.
    Bank = 4,
    /// Certifies holders.
    Registrar = 5,
    /// A court, whose orders freeze and seize money.
    Court = 6,
    /// Reads everything, changes nothing.
    Auditor = 7,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 7] =
        [Role::CentralBank, Role::Committee, Role::Operator, Role::Bank, Role::Registrar, Role::Court, Role::Auditor];

    /// The name in texts.
    pub fn name(self) -> &'static str {
        match self {
            Role::CentralBank => "central-bank",
            Role::Committee => "committee",
            Role::Operator => "operator",
            Role::Bank => "bank",
            Role::Registrar => "registrar",
            Role::Court => "court",
            Role::Auditor => "auditor",
        }
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Role, DecodeError> {
        let role = input.u8()?;
        Role::ALL
            .into_iter()
            .find(|known| *known as u8 == role)
            .ok_or_else(|| input.wrong("a known role", u64::from(role)))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Role::ALL.map(Role::name).join(", ");
        Role::ALL
            .into_iter()
            .find(|role| role.name() == text)
            .ok_or_else(|| format!("expected a role ({}), found `{text}`", names()))
    }
}

/// A member as genesis or a proposal names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// The member's role.
    pub role: Role,
    /// The member's number within the role.
    pub id: MemberId,
    /// The member's name, at most 64 bytes.
    pub name: String,
    /// The key that signs the member's commands, or a node's headers.
    pub signing_key: PublicKey,
    /// The key that the member's TLS certificate carries, if it connects to nodes.
    pub node_key: Option<PublicKey>,
}

impl Member {
    /// The longest name.
    pub const NAME_BYTES_MAX: usize = 64;

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u8(self.role as u8).u16(self.id.0).text(&self.name).raw(&self.signing_key.0);
        out.optional_key(&self.node_key);
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Member, DecodeError> {
        let role = Role::decode(input)?;
        let id = MemberId(input.u16()?);
        let name = input.text()?;
        if name.is_empty() || name.len() > Member::NAME_BYTES_MAX {
            return Err(input.wrong("a name of 1 to 64 bytes", name.len() as u64));
        }
        let signing_key = PublicKey(input.array()?);
        let node_key = input.optional_key()?;
        Ok(Member { role, id, name, signing_key, node_key })
    }
}

/// A member's seat: what the ledger knows of the member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seat {
    /// The member, with the keys in force.
    pub member: Member,
    /// The number of times the signing key was replaced.
    pub key_version: u32,
    /// False once dismissed; the seat stays so that its sequence numbers are never used again.
    pub active: bool,
    /// The member's sequence numbers.
    pub window: WideWindow,
    /// The digest of the window.
    window_digest: Kept<Hash>,
}

impl Seat {
    fn new(member: Member, key_version: u32, active: bool, window: WideWindow) -> Seat {
        Seat { member, key_version, active, window, window_digest: Kept::default() }
    }
}

/// All members, the committee's threshold, and how many nodes sign a header.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Members {
    seats: BTreeMap<(Role, MemberId), Seat>,
    threshold: u16,
    header_signatures: u16,
    /// The digests of [`Members::digests`].
    digests: Kept<[Hash; 2]>,
}

impl Members {
    pub(crate) fn new(threshold: u16, header_signatures: u16) -> Self {
        Members { threshold, header_signatures, ..Members::default() }
    }

    /// The seat of an active member.
    pub fn active(&self, role: Role, id: MemberId) -> Option<&Seat> {
        self.seats.get(&(role, id)).filter(|seat| seat.active)
    }

    /// The seat of a member, including dismissed ones.
    pub fn seat(&self, role: Role, id: MemberId) -> Option<&Seat> {
        self.seats.get(&(role, id))
    }

    pub(crate) fn seat_mut(&mut self, role: Role, id: MemberId) -> Option<&mut Seat> {
        self.digests.forget();
        let seat = self.seats.get_mut(&(role, id))?;
        seat.window_digest.forget();
        Some(seat)
    }

    /// The seat of an active bank.
    pub fn bank(&self, bank: BankId) -> Option<&Seat> {
        self.active(Role::Bank, MemberId(bank.0))
    }

    /// All seats, including dismissed ones, by role and number.
    pub fn seats(&self) -> impl Iterator<Item = &Seat> {
        self.seats.values()
    }

    /// The seats of the active members in a role, by number.
    pub fn active_in(&self, role: Role) -> impl Iterator<Item = &Seat> {
        self.seats.values().filter(move |seat| seat.active && seat.member.role == role)
    }

    /// The number of active members in a role.
    pub fn count_active(&self, role: Role) -> usize {
        self.active_in(role).count()
    }

    /// The keys in the TLS certificates of the active members in a role.
    pub fn node_keys(&self, role: Role) -> Vec<PublicKey> {
        self.active_in(role).filter_map(|seat| seat.member.node_key).collect()
    }

    /// The number of committee members who must approve a proposal.
    pub fn threshold(&self) -> u16 {
        self.threshold
    }

    pub(crate) fn set_threshold(&mut self, threshold: u16) {
        self.digests.forget();
        self.threshold = threshold;
    }

    /// The number of the central bank's nodes that must have signed a header for it to count.
    pub fn header_signatures(&self) -> u16 {
        self.header_signatures
    }

    pub(crate) fn set_header_signatures(&mut self, count: u16) {
        self.digests.forget();
        self.header_signatures = count;
    }

    /// Whether a member may have this signing key. Two nodes of the central bank may not share one, since one key would
    /// then count as two signatures of a header.
    pub(crate) fn may_sign_with(&self, role: Role, id: MemberId, signing_key: &PublicKey) -> bool {
        let mut nodes = self.active_in(Role::CentralBank);
        role != Role::CentralBank || !nodes.any(|seat| seat.member.id != id && seat.member.signing_key == *signing_key)
    }

    /// A copy of the members to try changes on, without the sequence numbers they have used.
    pub(crate) fn trial(&self) -> Members {
        let seat = |seat: &Seat| Seat::new(seat.member.clone(), seat.key_version, seat.active, WideWindow::default());
        let seats = self.seats.iter().map(|(key, found)| (*key, seat(found))).collect();
        Members { seats, ..Members::new(self.threshold, self.header_signatures) }
    }

    /// The active member whose TLS certificate carries `node_key`.
    pub fn by_node_key(&self, node_key: &PublicKey) -> Option<&Seat> {
        self.seats.values().find(|seat| seat.active && seat.member.node_key.as_ref() == Some(node_key))
    }

    pub(crate) fn admit(&mut self, member: Member) {
        self.digests.forget();
        let seat = Seat::new(member, 0, true, WideWindow::default());
        self.seats.insert((seat.member.role, seat.member.id), seat);
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.u16(self.threshold).u16(self.header_signatures).u32(self.seats.len() as u32);
        for seat in self.seats.values() {
            seat.member.encode(out);
            out.u32(seat.key_version).u8(u8::from(seat.active));
            seat.window.encode(out);
        }
    }

    /// The digest of everything but the members' used sequence numbers, and the digest of those.
    pub(crate) fn digests(&self) -> [Hash; 2] {
        let window = |seat: &Seat| seat.window_digest.get(|| digest(|out| seat.window.encode_marked(out)));
        self.digests.get(|| {
            let windows = digest(|out| {
                self.seats.values().for_each(|seat| {
                    out.u8(seat.member.role as u8).u16(seat.member.id.0).raw(&window(seat));
                });
            });
            [digest(|out| self.encode_without_windows(out)), windows]
        })
    }

    /// Appends everything but the members' used sequence numbers.
    pub(crate) fn encode_without_windows(&self, out: &mut Writer) {
        out.u16(self.threshold).u16(self.header_signatures).u32(self.seats.len() as u32);
        for seat in self.seats.values() {
            seat.member.encode(out);
            out.u32(seat.key_version).u8(u8::from(seat.active));
        }
    }

    /// Reads what [`Members::encode_without_windows`] wrote; the windows are those of `before`.
    pub(crate) fn decode_with_windows_of(before: &Members, input: &mut Reader<'_>) -> Result<Members, DecodeError> {
        let (threshold, header_signatures) = (input.u16()?, input.u16()?);
        let mut members = Members::new(threshold, header_signatures);
        for _ in 0..input.u32()? {
            let member = Member::decode(input)?;
            let seat = (member.role, member.id);
            let (key_version, active) = (input.u32()?, input.boolean()?);
            let window = before.seats.get(&seat).map_or_else(WideWindow::default, |seat| seat.window.clone());
            members.seats.insert(seat, Seat::new(member, key_version, active, window));
        }
        Ok(members)
    }

    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<Members, DecodeError> {
        let (threshold, header_signatures) = (input.u16()?, input.u16()?);
        let mut members = Members::new(threshold, header_signatures);
        for _ in 0..input.u32()? {
            let member = Member::decode(input)?;
            let (key_version, active) = (input.u32()?, input.boolean()?);
            let seat = Seat::new(member, key_version, active, WideWindow::decode(input)?);
            members.seats.insert((seat.member.role, seat.member.id), seat);
        }
        Ok(members)
    }
}
