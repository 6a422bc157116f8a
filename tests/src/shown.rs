//! Compares what a page shows with what a command prints.

/// How far a number may be from the one that is shown, relative to it: processors add up in different orders, and where gradients are
/// close to zero, Adam's division by their own magnitude carries that on, to 0.3 % of a later gradient's norm.
const TOLERANCE: f64 = 1e-2;

/// Words before numbers that are another each time.
const VOLATILE: [&str; 7] = [
    "takes",
    "memory(GiB)",
    "train_speed(s/it)",
    "tokens_per_second",
    "train_runtime",
    "train_samples_per_second",
    "train_steps_per_second",
];

/// Whether lines are those that are shown. A line `…` stands for any lines, and `…` in a line for any text. Blanks count as
/// one. Numbers may differ a little, and times and speeds altogether.
pub(crate) fn is(shown: &[String], printed: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first.trim() == "…" => {
            (0..=printed.len()).any(|from| printed.get(from..).is_some_and(|printed| is(rest, printed)))
        }
        Some((first, rest)) => {
            printed.split_first().is_some_and(|(line, printed)| is_line(first, line) && is(rest, printed))
        }
    }
}

fn is_line(shown: &str, printed: &str) -> bool {
    if let Some((before, after)) = shown.split_once('…') {
        let rest = printed.trim().strip_prefix(before.trim_start());
        return rest.is_some_and(|rest| rest.ends_with(after.trim_end()));
    }
    let (shown, printed) = (pieces(shown.trim()), pieces(printed.trim()));
    let text = |place: usize| shown.get(place).copied().unwrap_or_default();
    let is_volatile = |place: usize| {
        let before = place.checked_sub(1).map(text).unwrap_or_default();
        let after = text(place + 1);
        let is_time = after.strip_prefix('s').is_some_and(|rest| !rest.starts_with(char::is_alphanumeric));
        before.split_whitespace().last().is_some_and(|word| VOLATILE.contains(&word))
            || is_time
            || after.starts_with(" µs")
    };
    let is_piece = |(place, (shown, printed)): (usize, (&&str, &&str))| match (number(shown), number(printed))
    {
        (Some(shown), Some(printed)) => {
            (shown - printed).abs() <= TOLERANCE * shown.abs() || is_volatile(place)
        }
        (None, None) => shown.split_whitespace().eq(printed.split_whitespace()),
        _ => false,
    };
    shown.len() == printed.len() && shown.iter().zip(&printed).enumerate().all(is_piece)
}

/// A line cut into numbers and what is between them. Digits in words are no numbers.
fn pieces(line: &str) -> Vec<&str> {
    let (mut pieces, mut rest, mut start) = (Vec::new(), line, 0);
    while let Some(letter) = rest.get(start..).and_then(|rest| rest.chars().next()) {
        let in_word = rest.get(..start).is_some_and(|before| {
            before.ends_with(|last: char| last.is_alphanumeric() || "._".contains(last))
        });
        let length = rest.get(start..).map_or(0, number_length);
        if length == 0 || in_word {
            start += letter.len_utf8();
            continue;
        }
        let (before, from) = rest.split_at(start);
        let (number, after) = from.split_at(length);
        pieces.extend([before, number]);
        (rest, start) = (after, 0);
    }
    pieces.push(rest);
    pieces
}

/// How long the number is that a text begins with: `12`, `0.5`, `7.5e-5`.
fn number_length(text: &str) -> usize {
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len()
    };
    let mut length = digits(0);
    if length == 0 {
        return 0;
    }
    for starts in [&["."][..], &["e-", "e"]] {
        let rest = text.get(length..).unwrap_or_default();
        let Some(start) = starts.iter().find(|start| rest.starts_with(**start)) else { continue };
        let more = digits(length + start.len());
        if more > 0 {
            length += start.len() + more;
        }
    }
    length
}

fn number(piece: &str) -> Option<f64> {
    piece.starts_with(|first: char| first.is_ascii_digit()).then(|| piece.parse().ok()).flatten()
}
