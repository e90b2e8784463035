//! Patterns of the configuration.

/// Whether `text` is as `pattern` says: `*` stands for any run of bytes, in a path not across a `/`, where `**` does that.
pub(super) fn matches(pattern: &str, text: &[u8], path: bool) -> bool {
    let pattern = pattern.as_bytes();
    // reached[n]: the pattern so far can end before byte n of the text.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    let mut at = 0;
    while at < pattern.len() {
        let stars = pattern[at..]
            .iter()
            .take_while(|byte| **byte == b'*')
            .count();
        if stars > 0 {
            let crosses = !path || stars > 1;
            for n in 0..text.len() {
                reached[n + 1] |= reached[n] && (crosses || text[n] != b'/');
            }
            at += stars;
        } else {
            for n in (0..text.len()).rev() {
                reached[n + 1] = reached[n] && text[n] == pattern[at];
            }
            reached[0] = false;
            at += 1;
        }
    }
    reached[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_runs() {
        let word = |pattern: &str, text: &str| matches(pattern, text.as_bytes(), false);
        assert!(word("", "") && word("*", "") && word("*", "a/b\n") && word("-j*", "-j8"));
        assert!(word("a*b*c", "aXbYbZc") && !word("a*b*c", "aXbY"));
        assert!(!word("", "a") && !word("-j", "-j8") && !word("-j*", "x-j8"));
        // Linear in each, whatever stands there.
        assert!(!word(&"*a".repeat(50), &"a".repeat(49)));
    }

    #[test]
    fn in_a_path_one_star_stays_in_its_component() {
        let path = |pattern: &str, text: &str| matches(pattern, text.as_bytes(), true);
        assert!(path("/opt/*/bin", "/opt/a/bin") && !path("/opt/*/bin", "/opt/a/b/bin"));
        assert!(path("/opt/**", "/opt/a/b") && path("/opt/**/b", "/opt/a/x/b"));
        assert!(!path("/opt/*", "/opt/a/b"));
    }
}
