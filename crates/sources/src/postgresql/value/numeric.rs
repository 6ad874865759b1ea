//! `numeric`: digits to the base 10000, as `numeric_send` writes them.

use super::{Malformed, fixed, split};
use crate::shared::digits::push_padded;

/// Decimal digits of one digit of the wire.
const WIDTH: usize = 4;

/// The exact decimal text, with as many digits after the point as the server shows; none for what is no finite number.
pub(super) fn text(bytes: &[u8]) -> Result<Option<String>, Malformed> {
    let (header, rest) = split::<8>(bytes)?;
    let field = |index: usize| u16::from_be_bytes([header[index], header[index + 1]]);
    let (count, sign, scale) = (usize::from(field(0)), field(4), usize::from(field(6)));
    let weight = i32::from(i16::from_be_bytes([header[2], header[3]]));
    let negative = match sign {
        0 => false,
        0x4000 => true,
        // Not a number, and both infinities.
        0xC000 | 0xD000 | 0xF000 => return Ok(None),
        _ => return Err(Malformed),
    };
    if rest.len() != count * 2 {
        return Err(Malformed);
    }
    let mut digits = Vec::with_capacity(count);
    for digit in rest.chunks_exact(2) {
        digits.push(u16::from_be_bytes(fixed(digit)?));
    }
    // The digit that counts 10000^exponent.
    let digit = |exponent: i32| {
        usize::try_from(weight - exponent).ok().and_then(|index| digits.get(index)).copied().unwrap_or(0)
    };
    let mut text = String::with_capacity((count + 2) * WIDTH);
    if negative {
        text.push('-');
    }
    if weight < 0 {
        text.push('0');
    } else {
        push_padded(&mut text, digit(weight).into(), 1);
        for exponent in (0..weight).rev() {
            push_padded(&mut text, digit(exponent).into(), WIDTH);
        }
    }
    if scale > 0 {
        text.push('.');
        let point = text.len();
        let mut exponent = -1;
        while text.len() < point + scale {
            push_padded(&mut text, digit(exponent).into(), WIDTH);
            exponent -= 1;
        }
        text.truncate(point + scale);
    }
    Ok(Some(text))
}
