//! Texts with places to fill: `<|user|>{{QUERY}}<|assistant|>`.

use swift_plugin::Content;

/// A part of a text with places to fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Segment<'a> {
    /// What stands as it is.
    Literal(&'a str),
    /// The name between `{{` and `}}`.
    Place(&'a str),
}

/// The parts of a text, in order.
pub(crate) fn segments(text: &str) -> impl Iterator<Item = Segment<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let place = place(rest);
        let (segment, after) = match place {
            None if rest.is_empty() => return None,
            None => (Segment::Literal(rest), ""),
            Some(("", name, after)) => (Segment::Place(name), after),
            Some((before, ..)) => (Segment::Literal(before), rest.get(before.len()..).unwrap_or_default()),
        };
        rest = after;
        Some(segment)
    })
}

/// The first place: what is before it, its name, and what is after it. Braces around anything but a word, as in JSON,
/// are no place.
fn place(text: &str) -> Option<(&str, &str, &str)> {
    let is_word = |name: &str| {
        !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_:".contains(letter))
    };
    let mut from = 0;
    while let Some(start) = text.get(from..)?.find("{{").map(|found| found + from) {
        let inside = text.get(start + 2..)?;
        match inside.split_once("}}") {
            Some((name, after)) if is_word(name) => return Some((text.get(..start)?, name, after)),
            _ => from = start + 1,
        }
    }
    None
}

/// A text with its places filled; places that `fill` knows nothing of stay as they are.
pub(crate) fn fill(text: &str, fill: impl Fn(&str) -> Option<String>) -> String {
    segments(text)
        .map(|segment| match segment {
            Segment::Literal(literal) => literal.to_owned(),
            Segment::Place(name) => fill(name).unwrap_or_else(|| format!("{{{{{name}}}}}")),
        })
        .collect()
}

/// As [`fill`], with tokens for `{{bos_token_id}}` and `{{id:195}}`.
pub(crate) fn contents(text: &str, fill: impl Fn(&str) -> Option<String>) -> Vec<Content> {
    let contents = segments(text).map(|segment| match segment {
        Segment::Literal(literal) => Content::Text(literal.to_owned()),
        Segment::Place(name) => match (fill(name), name.strip_prefix("id:").map(str::parse)) {
            (Some(text), _) => Content::Text(text),
            (None, Some(Ok(id))) => Content::TokenId(id),
            (None, _) if name.ends_with("_token_id") => Content::TokenName(name.to_owned()),
            (None, _) => Content::Text(format!("{{{{{name}}}}}")),
        },
    });
    contents.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_its_places() {
        let parts: Vec<_> = segments("a{{B}}{{C}}d{{{e}}}").collect();
        assert_eq!(
            parts,
            [
                Segment::Literal("a"),
                Segment::Place("B"),
                Segment::Place("C"),
                Segment::Literal("d{"),
                Segment::Place("e"),
                Segment::Literal("}"),
            ]
        );
    }

    #[test]
    fn unknown_places_stay_and_what_fills_one_is_not_searched_for_more() {
        let filled = fill("{{A}} {{B}} {\"x\": {}}", |name| (name == "A").then(|| "{{B}}".to_owned()));
        assert_eq!(filled, "{{B}} {{B}} {\"x\": {}}");
    }

    #[test]
    fn tokens_are_asked_for_by_name_or_by_id() {
        assert_eq!(
            contents("{{bos_token_id}}a{{id:195}}", |_| None),
            [
                Content::TokenName("bos_token_id".to_owned()),
                Content::Text("a".to_owned()),
                Content::TokenId(195)
            ]
        );
    }
}
