//! Which name was meant.

/// The name closest to what was written, if it is close enough to be a slip.
pub(crate) fn nearest<'a>(written: &str, names: &'a [String]) -> Option<&'a str> {
    let allowed = (written.chars().count() / 3).max(1);
    sorted(written, names).into_iter().next().filter(|name| distance(written, name) <= allowed)
}

/// The names, the closest to what was written first.
pub(crate) fn sorted<'a>(written: &str, names: &'a [String]) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_by_key(|name| distance(written, name));
    names
}

/// Insertions, deletions, substitutions and swaps of neighbours from one word to the other (Damerau 1964), no letter being
/// changed twice.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    // The costs from the letters read so far to each beginning of `to`; one row, and two rows before.
    let mut row: Vec<usize> = (0..=to.len()).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut previous = None;
    for (i, a) in from.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let at = |row: &[usize], place: usize| row.get(place).copied().unwrap_or(usize::MAX - 1);
            let mut cost =
                (at(&row, j) + usize::from(a != *b)).min(at(&next, j) + 1).min(at(&row, j + 1) + 1);
            let swapped =
                previous == Some(*b) && j.checked_sub(1).is_some_and(|last| to.get(last) == Some(&a));
            if swapped {
                cost = cost.min(at(&before, j - 1) + 1);
            }
            next.push(cost);
        }
        before = std::mem::replace(&mut row, next);
        previous = Some(a);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("same", "same"), 0);
        assert_eq!(distance("dop", "dpo"), 1);
        assert_eq!(distance("ab", "bac"), 2);
    }

    #[test]
    fn a_slip_finds_its_name_and_a_stranger_none() {
        let names = ["beta".to_owned(), "label_smoothing".into()];
        assert_eq!(nearest("label_smothing", &names), Some("label_smoothing"));
        assert_eq!(nearest("bta", &names), Some("beta"));
        assert_eq!(nearest("beat", &names), Some("beta"));
        assert_eq!(nearest("gamma_ray", &names), None);
        assert_eq!(sorted("smoothing", &names), ["label_smoothing", "beta"]);
    }
}
