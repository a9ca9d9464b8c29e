//! Holders' sessions: challenges and tokens that the bank can verify without storing them.
//!
//! 1. A *challenge* is issued with the time at which the session will end. It is the MAC of that time, which shows that
//!    the bank issued it, and when. It may be answered for 60 s.
//! 2. The holder signs bank, wallet, key version, end and challenge
//!    ([`SessionStatement`](cbdc_ledger::command::SessionStatement)); the service checks that signature.
//! 3. A *token* names wallet, key version and end, with their MAC. Whoever presents it counts as the holder until then.
//!
//! The keys of both MACs are drawn at each start of the node: after a restart it knows no earlier session. Times are
//! counted from the start by a clock that never jumps. MACs are compared in constant time, which [`blake3::Hash`]
//! promises.

use std::time::Instant;

use cbdc_ledger::encoding::{DecodeError, Reader, Writer, hex, hex_decode};
use cbdc_ledger::{AccountId, BankId, Timestamp};

/// The length of a session, from the challenge on.
pub const SESSION_MS: u64 = 15 * 60 * 1_000;
/// The time within which a challenge may be answered.
pub const CHALLENGE_MS: u64 = 60 * 1_000;
/// Bytes of a token before it is written in hexadecimal digits: account (8), key version (4), end (8), MAC (32).
const TOKEN_BYTES: usize = 52;

/// An open session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Session {
    /// The wallet whose holder has the session.
    pub account: AccountId,
    /// The version of the wallet's key that opened it.
    pub key_version: u32,
    pub expires_at: Timestamp,
}

/// The reason why a challenge or token is not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// This bank has not issued it since it was started.
    NotOurs,
    /// It has expired.
    Expired,
}

/// Issues challenges and tokens, and verifies them.
pub struct Sessions {
    pub bank: BankId,
    challenge_key: [u8; 32],
    token_key: [u8; 32],
    started: (Instant, Timestamp),
}

impl Sessions {
    /// Sessions with a secret from the operating system, and the machine's time.
    pub fn new(bank: BankId, secret: [u8; 32], now: Timestamp) -> Sessions {
        Sessions {
            bank,
            challenge_key: blake3::derive_key("cbdc bank: challenge of a session, v1", &secret),
            token_key: blake3::derive_key("cbdc bank: token of a session, v1", &secret),
            started: (Instant::now(), now),
        }
    }

    /// The time of sessions: the machine's clock at the start, plus the time elapsed since.
    pub fn now(&self) -> Timestamp {
        let (instant, time) = self.started;
        time.plus_ms(u64::try_from(instant.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// A challenge, and the end of the session that it is for.
    pub fn challenge(&self, now: Timestamp) -> ([u8; 32], Timestamp) {
        let expires_at = now.plus_ms(SESSION_MS);
        (*self.challenge_of(expires_at).as_bytes(), expires_at)
    }

    fn challenge_of(&self, expires_at: Timestamp) -> blake3::Hash {
        blake3::keyed_hash(&self.challenge_key, &expires_at.0.to_le_bytes())
    }

    /// Refuses a challenge that was not issued with this end, or too long ago.
    pub fn check_challenge(&self, challenge: [u8; 32], expires_at: Timestamp, now: Timestamp) -> Result<(), Refused> {
        if self.challenge_of(expires_at) != blake3::Hash::from_bytes(challenge) {
            return Err(Refused::NotOurs);
        }
        if now.plus_ms(SESSION_MS - CHALLENGE_MS) > expires_at { Err(Refused::Expired) } else { Ok(()) }
    }

    /// The token of a session.
    pub fn token(&self, session: &Session) -> String {
        let mut out = Writer::with_capacity(TOKEN_BYTES);
        out.u64(session.account.to_u64()).u32(session.key_version).u64(session.expires_at.0);
        let mac = blake3::keyed_hash(&self.token_key, out.as_bytes());
        hex(out.raw(mac.as_bytes()).as_bytes())
    }

    /// The session of a token.
    pub fn read(&self, token: &str, now: Timestamp) -> Result<Session, Refused> {
        let bytes: [u8; TOKEN_BYTES] =
            hex_decode(token).and_then(|bytes| bytes.try_into().ok()).ok_or(Refused::NotOurs)?;
        let (named, mac) = bytes.split_last_chunk().ok_or(Refused::NotOurs)?;
        if blake3::keyed_hash(&self.token_key, named) != blake3::Hash::from_bytes(*mac) {
            return Err(Refused::NotOurs);
        }
        let session = decode(named).map_err(|_| Refused::NotOurs)?;
        if now >= session.expires_at { Err(Refused::Expired) } else { Ok(session) }
    }
}

fn decode(named: &[u8]) -> Result<Session, DecodeError> {
    let mut input = Reader::new("a token", named);
    let (account, key_version) = (AccountId::decode(&mut input)?, input.u32()?);
    Ok(Session { account, key_version, expires_at: Timestamp(input.u64()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn sessions(secret: u8) -> Sessions {
        Sessions::new(BankId(1), [secret; 32], NOW)
    }

    fn session() -> Session {
        Session { account: AccountId::new(BankId(1), 7), key_version: 3, expires_at: NOW.plus_ms(SESSION_MS) }
    }

    #[test]
    fn a_token_is_its_session_until_it_ends() {
        let sessions = sessions(1);
        let token = sessions.token(&session());
        assert_eq!(sessions.read(&token, NOW), Ok(session()));
        assert_eq!(sessions.read(&token, NOW.plus_ms(SESSION_MS - 1)), Ok(session()));
        assert_eq!(sessions.read(&token, NOW.plus_ms(SESSION_MS)), Err(Refused::Expired));
    }

    #[test]
    fn no_character_of_a_token_can_be_changed_and_no_other_bank_or_start_accepts_it() {
        let sessions = sessions(1);
        let token = sessions.token(&session());
        assert_eq!(self::sessions(2).read(&token, NOW), Err(Refused::NotOurs));
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(sessions.read(std::str::from_utf8(&changed).unwrap(), NOW), Err(Refused::NotOurs), "{at}");
        }
        for text in ["", "Bearer", &token[2..], &format!("{token}00"), &"ä".repeat(52)] {
            assert_eq!(sessions.read(text, NOW), Err(Refused::NotOurs), "{text}");
        }
    }

    #[test]
    fn a_challenge_is_answered_within_its_time_and_with_its_own_end() {
        let sessions = sessions(1);
        let (challenge, expires_at) = sessions.challenge(NOW);
        assert_eq!(expires_at, NOW.plus_ms(SESSION_MS));
        let check = |now| sessions.check_challenge(challenge, expires_at, now);
        assert_eq!([NOW, NOW.plus_ms(CHALLENGE_MS)].map(check), [Ok(()); 2]);
        assert_eq!(check(NOW.plus_ms(CHALLENGE_MS + 1)), Err(Refused::Expired));
        let later = sessions.check_challenge(challenge, expires_at.plus_ms(1), NOW);
        assert_eq!(later, Err(Refused::NotOurs), "the end is the bank's to say");
        assert_eq!(sessions.check_challenge([0; 32], expires_at, NOW), Err(Refused::NotOurs));
        assert_eq!(self::sessions(2).check_challenge(challenge, expires_at, NOW), Err(Refused::NotOurs));
    }

    #[test]
    fn the_time_of_sessions_begins_with_the_machines_and_never_runs_back() {
        let sessions = sessions(1);
        let first = sessions.now();
        assert!(first >= NOW && sessions.now() >= first);
    }
}
