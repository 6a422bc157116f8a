/// Candidates, the most similar to `name` first; equally similar ones keep their order.
pub(crate) fn nearest_first<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut ranked: Vec<(usize, String)> =
        candidates.into_iter().map(|candidate| (distance(name, candidate), candidate.to_owned())).collect();
    ranked.sort_by_key(|(distance, _)| *distance);
    ranked.into_iter().map(|(_, candidate)| candidate).collect()
}

/// Edits that turn one word into the other (Levenshtein 1966).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let next = std::iter::once(left)
            .chain(b.iter().zip(row.windows(2)).map(|(&y, above)| {
                let [upper_left, upper] =
                    [above.first(), above.get(1)].map(|cost| cost.copied().unwrap_or_default());
                diagonal = upper_left;
                left = (diagonal + usize::from(x != y)).min(upper + 1).min(left + 1);
                left
            }))
            .collect();
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_similar_name_comes_first() {
        assert_eq!(nearest_first("bata", ["label_smoothing", "beta"]), ["beta", "label_smoothing"]);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
