//! Reading a version of the formats.

use super::encoding::{DecodeError, Reader};
use crate::types::format::FormatVersion;

impl FormatVersion {
    pub(crate) fn decode(input: &mut Reader<'_>) -> Result<FormatVersion, DecodeError> {
        let number = input.u8()?;
        FormatVersion::from_number(number).ok_or_else(|| input.wrong("version 1 or 2", u64::from(number)))
    }
}
