//! Patterns with `*`.

/// Whether some name matches both patterns.
pub(super) fn overlap(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // reachable[j]: after some prefix of `a` and j characters of `b`, the rest of both still has to match.
    let mut reachable = vec![false; b.len() + 1];
    reachable[0] = true;
    star_moves(&mut reachable, &b);
    for left in &a {
        let mut next = vec![false; b.len() + 1];
        for j in 0..=b.len() {
            if !reachable[j] {
                continue;
            }
            if *left == '*' {
                // Takes any run of what `b` produces.
                next[j..].fill(true);
                break;
            }
            match b.get(j) {
                Some('*') => next[j] = true,
                Some(right) if right == left => next[j + 1] = true,
                _ => {}
            }
        }
        star_moves(&mut next, &b);
        reachable = next;
    }
    reachable[b.len()]
}

/// A `*` of `b` may stand for nothing.
fn star_moves(reachable: &mut [bool], b: &[char]) {
    for j in 0..b.len() {
        if reachable[j] && b[j] == '*' {
            reachable[j + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::overlap;

    #[test]
    fn patterns_that_share_a_name() {
        for (a, b, expected) in [
            ("logs-*", "logs-a*", true),
            ("*a", "b*", true),
            ("a", "*", true),
            ("", "*", true),
            ("a*c", "*b*", true),
            ("a*b", "c*", false),
            ("logs-*", "metrics-*", false),
            ("ab", "a", false),
            ("a*", "ba*", false),
            ("*x", "*y", false),
            ("*é*", "é", true),
        ] {
            assert_eq!((overlap(a, b), overlap(b, a)), (expected, expected), "{a} {b}");
        }
        // No pattern is slow to compare.
        assert!(!overlap(&"*a".repeat(200), &("*b".repeat(200) + "c")));
    }
}
