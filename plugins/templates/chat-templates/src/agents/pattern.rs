//! Finding what a text with places wrote. What stands behind a place ends its value; white space there may be missing, for
//! models are not exact with it.

use crate::segments::{Segment, segments};

/// A text with places, to be found in another.
pub(super) struct Pattern<'a> {
    segments: Vec<Segment<'a>>,
    /// What ends a value that nothing stands behind.
    ends: Vec<&'a str>,
}

/// What a pattern found.
pub(super) struct Captured<'a> {
    /// Where it begins.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
    values: Vec<(&'a str, &'a str)>,
}

impl<'a> Captured<'a> {
    /// The value at a place.
    pub(super) fn value(&self, place: &str) -> Option<&'a str> {
        self.values.iter().find(|(known, _)| *known == place).map(|(_, value)| *value)
    }
}

impl<'a> Pattern<'a> {
    pub(super) fn new(text: &'a str, ends: &[&'a str]) -> Self {
        let segments: Vec<_> = segments(text).collect();
        let mut pattern = Self { segments, ends: ends.iter().map(|end| end.trim()).collect() };
        pattern.ends.push(pattern.opening());
        pattern.ends.retain(|end| !end.is_empty());
        pattern
    }

    /// What it begins with.
    pub(super) fn opening(&self) -> &'a str {
        match self.segments.first() {
            Some(Segment::Literal(literal)) => literal.trim(),
            _ => "",
        }
    }

    /// The next place in `text` that it fits, from a byte on.
    pub(super) fn find(&self, text: &'a str, from: usize) -> Option<Captured<'a>> {
        let mut start = from;
        loop {
            let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
            start += match self.opening() {
                "" if self.segments.is_empty() => return None,
                "" => rest.len() - rest.trim_start().len(),
                opening => rest.find(opening)?,
            };
            match self.capture(text, start) {
                Some(captured) if captured.end > start => return Some(captured),
                _ if self.opening().is_empty() => return None,
                _ => start += self.opening().len(),
            }
        }
    }

    fn capture(&self, text: &'a str, start: usize) -> Option<Captured<'a>> {
        let mut captured = Captured { start, end: start, values: Vec::new() };
        for (index, segment) in self.segments.iter().enumerate() {
            let rest = text.get(captured.end..)?;
            let is_last = index + 1 == self.segments.len();
            captured.end += match segment {
                Segment::Literal(literal) if rest.starts_with(literal) => literal.len(),
                Segment::Literal(literal) => {
                    let space = rest.len() - rest.trim_start().len();
                    match rest.trim_start().starts_with(literal.trim()) {
                        true if !literal.trim().is_empty() => space + literal.trim().len(),
                        // The end may be cut off, being what stops the model.
                        _ if is_last || literal.trim().is_empty() => 0,
                        _ => return None,
                    }
                }
                Segment::Place(place) => match captured.value(place) {
                    // A name that stands twice, as in a closing element.
                    Some(known) => rest.strip_prefix(known).map_or(0, |_| known.len()),
                    None => {
                        let value = rest.get(..self.value_length(rest, index, &captured)?)?;
                        captured.values.push((place, value));
                        value.len()
                    }
                },
            };
        }
        Some(captured)
    }

    /// How far the value at a place goes: up to what stands behind it, or to the end of the text if it is the last.
    fn value_length(&self, rest: &str, index: usize, captured: &Captured<'_>) -> Option<usize> {
        let behind = |offset: usize| self.segments.get(index + offset).copied();
        let is_last =
            !(1..self.segments.len() - index).any(|offset| matches!(behind(offset), Some(Segment::Place(_))));
        let found = match (behind(1), behind(2)) {
            (Some(Segment::Literal(literal)), Some(Segment::Place(place)))
                if captured.value(place).is_some() =>
            {
                let known = captured.value(place).unwrap_or_default();
                rest.find(&format!("{literal}{known}"))
            }
            (Some(Segment::Literal(literal)), _) if literal.trim().is_empty() && is_last => self.end(rest),
            (Some(Segment::Literal(literal)), _) => ending(rest, literal),
            (Some(Segment::Place(_)), Some(Segment::Literal(literal))) => {
                [self.end(rest), ending(rest, literal)].into_iter().flatten().min()
            }
            _ => self.end(rest),
        };
        found.or(is_last.then_some(rest.len()))
    }

    fn end(&self, rest: &str) -> Option<usize> {
        self.ends.iter().filter_map(|end| rest.find(end)).min()
    }
}

/// Where a value ends that `literal` stands behind.
fn ending(rest: &str, literal: &str) -> Option<usize> {
    let exact = rest.find(literal);
    let trimmed =
        Some(literal.trim()).filter(|literal| !literal.is_empty()).and_then(|literal| rest.find(literal));
    [exact, trimmed].into_iter().flatten().min()
}
