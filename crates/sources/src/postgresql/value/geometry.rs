//! Geometric types, in the text forms of Elastic's connector where it has one, else in the server's.

use super::{Malformed, fixed};

/// `(x, y)`
pub(super) fn point(bytes: &[u8]) -> Result<String, Malformed> {
    let [x, y] = numbers(bytes)?;
    Ok(format!("({x:?}, {y:?})"))
}

/// `[(x, y), (x, y)]`
pub(super) fn segment(bytes: &[u8]) -> Result<String, Malformed> {
    let [x1, y1, x2, y2] = numbers(bytes)?;
    Ok(format!("[({x1:?}, {y1:?}), ({x2:?}, {y2:?})]"))
}

/// A `box`: the upper right corner, then the lower left.
pub(super) fn corners(bytes: &[u8]) -> Result<String, Malformed> {
    segment(bytes)
}

/// `open [(x, y), …]` or `closed [(x, y), …]`
pub(super) fn path(bytes: &[u8]) -> Result<String, Malformed> {
    let (closed, rest) = bytes.split_first().ok_or(Malformed)?;
    let kind = if *closed == 0 { "open" } else { "closed" };
    Ok(format!("{kind} {}", points(rest)?))
}

/// `[(x, y), …]`
pub(super) fn polygon(bytes: &[u8]) -> Result<String, Malformed> {
    points(bytes)
}

/// `{A,B,C}`: A·x + B·y + C = 0, as the server writes it.
pub(super) fn line(bytes: &[u8]) -> Result<String, Malformed> {
    let [a, b, c] = numbers(bytes)?;
    Ok(format!("{{{},{},{}}}", short(a), short(b), short(c)))
}

/// `<(x,y),r>`, as the server writes it.
pub(super) fn circle(bytes: &[u8]) -> Result<String, Malformed> {
    let [x, y, radius] = numbers(bytes)?;
    Ok(format!("<({},{}),{}>", short(x), short(y), short(radius)))
}

/// The shortest text that is the same number.
fn short(number: f64) -> String {
    let text = format!("{number:?}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// A count, and that many points.
fn points(bytes: &[u8]) -> Result<String, Malformed> {
    let (count, rest) = bytes.split_first_chunk::<4>().ok_or(Malformed)?;
    let count = usize::try_from(i32::from_be_bytes(*count)).map_err(|_| Malformed)?;
    if count.checked_mul(16) != Some(rest.len()) {
        return Err(Malformed);
    }
    let points: Vec<String> = rest.chunks_exact(16).map(point).collect::<Result<_, _>>()?;
    Ok(format!("[{}]", points.join(", ")))
}

fn numbers<const N: usize>(bytes: &[u8]) -> Result<[f64; N], Malformed> {
    if bytes.len() != N * 8 {
        return Err(Malformed);
    }
    let mut numbers = [0.0; N];
    for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(8)) {
        *number = f64::from_be_bytes(fixed(bytes)?);
    }
    Ok(numbers)
}
