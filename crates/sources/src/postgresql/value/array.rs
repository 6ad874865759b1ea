//! Arrays, as `array_send` writes them: dimensions, then the elements of all of them in a row.

use serde_json::Value;

use super::{Codec, Malformed, split};

/// Most dimensions an array may have (`MAXDIM`).
const MOST_DIMENSIONS: usize = 6;

/// A list, of lists where there are several dimensions. Lower bounds are not kept.
pub(super) fn value(element: &Codec, bytes: &[u8]) -> Result<Value, Malformed> {
    let (dimensions, rest) = number(bytes)?;
    // Whether there are nulls, and the type of the elements.
    let (_, mut rest) = split::<8>(rest)?;
    if dimensions > MOST_DIMENSIONS {
        return Err(Malformed);
    }
    let mut lengths = Vec::with_capacity(dimensions);
    for _ in 0..dimensions {
        let (length, after) = number(rest)?;
        lengths.push(length);
        rest = split::<4>(after)?.1;
    }
    if lengths.is_empty() {
        return Ok(Value::Array(Vec::new()));
    }
    let value = level(element, &lengths, &mut rest)?;
    if rest.is_empty() { Ok(value) } else { Err(Malformed) }
}

fn level(element: &Codec, lengths: &[usize], rest: &mut &[u8]) -> Result<Value, Malformed> {
    let Some((length, inner)) = lengths.split_first() else { return single(element, rest) };
    // The length is the server's word: no room is made for elements that have not come.
    let mut items = Vec::with_capacity((*length).min(rest.len() / 4));
    for _ in 0..*length {
        items.push(level(element, inner, rest)?);
    }
    Ok(Value::Array(items))
}

fn single(element: &Codec, rest: &mut &[u8]) -> Result<Value, Malformed> {
    let (length, after) = split::<4>(rest)?;
    let length = i32::from_be_bytes(length);
    if length == -1 {
        *rest = after;
        return Ok(Value::Null);
    }
    let length = usize::try_from(length).map_err(|_| Malformed)?;
    let (bytes, after) = after.split_at_checked(length).ok_or(Malformed)?;
    *rest = after;
    element.decode(bytes)
}

fn number(bytes: &[u8]) -> Result<(usize, &[u8]), Malformed> {
    let (number, rest) = split(bytes)?;
    Ok((usize::try_from(i32::from_be_bytes(number)).map_err(|_| Malformed)?, rest))
}
