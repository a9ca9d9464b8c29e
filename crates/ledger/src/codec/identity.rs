//! Reading classes and account ids.

use super::encoding::{DecodeError, Reader};
use crate::types::identity::{AccountId, Class};

impl Class {
    /// Reads a class for which policy has figures.
    pub fn decode(input: &mut Reader<'_>) -> Result<Class, DecodeError> {
        let class = Class(input.u8()?);
        if class.is_known() { Ok(class) } else { Err(input.wrong("a known class", u64::from(class.0))) }
    }
}

impl AccountId {
    /// Reads an id as one integer.
    pub fn decode(input: &mut Reader<'_>) -> Result<AccountId, DecodeError> {
        let id = input.u64()?;
        AccountId::known(id, input)
    }

    /// The account id of an integer that is being read.
    pub(crate) fn known(id: u64, input: &Reader<'_>) -> Result<AccountId, DecodeError> {
        AccountId::from_u64(id).ok_or_else(|| input.wrong("an account id below 2^48", id))
    }
}
