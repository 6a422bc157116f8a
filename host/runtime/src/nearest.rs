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

/// Insertions, deletions and substitutions from one word to the other (Levenshtein 1966).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(to.chars()) {
            let cost = (diagonal + usize::from(a != b)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, cost);
            left = cost;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
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
    }

    #[test]
    fn a_slip_finds_its_name_and_a_stranger_none() {
        let names = ["beta".to_owned(), "label_smoothing".into()];
        assert_eq!(nearest("label_smothing", &names), Some("label_smoothing"));
        assert_eq!(nearest("bta", &names), Some("beta"));
        assert_eq!(nearest("gamma_ray", &names), None);
        assert_eq!(sorted("smoothing", &names), ["label_smoothing", "beta"]);
    }
}
