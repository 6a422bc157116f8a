//! Cutting an answer into parts with factors.

use std::ops::Range;

use crate::table::Rule;

/// A part of an answer, in bytes, with its factor.
pub(crate) type Part = (Range<usize>, f64);

impl Rule {
    /// The parts of an answer; together they are the answer.
    pub(crate) fn cut(&self, answer: &str, question: Option<&str>) -> Vec<Part> {
        let asked =
            self.questions.iter().find(|(words, _)| question.is_some_and(|text| text.contains(*words)));
        if let Some((_, factor)) = asked {
            return vec![(0..answer.len(), *factor)];
        }
        let mut parts = Vec::new();
        let (mut at, mut factor) = (0, 1.0);
        while let Some((found, own, following)) = self.next(answer, at) {
            parts.extend([(at..found.start, factor), (found.clone(), own)]);
            (at, factor) = (found.end, following);
        }
        parts.push((at..answer.len(), factor));
        parts.retain(|(range, _)| !range.is_empty());
        parts
    }

    /// The first keyword or match from a byte on, its factor, and that of what follows it.
    fn next(&self, answer: &str, at: usize) -> Option<(Range<usize>, f64, f64)> {
        let keywords = self.keywords.iter().filter_map(|(word, [own, following])| {
            let start = answer.get(at..)?.find(word.as_str())? + at;
            Some((start..start + word.len(), *own, *following))
        });
        let patterns = self.patterns.iter().filter_map(|(pattern, factor)| {
            let found = pattern.find_at(answer, at).filter(|found| !found.is_empty())?;
            Some((found.range(), *factor, 1.0))
        });
        // The longer one of those that begin together.
        keywords.chain(patterns).min_by_key(|(range, ..)| (range.start, std::cmp::Reverse(range.end)))
    }
}

/// The parts that two ways of cutting the same answer leave, with the product of the factors.
pub(crate) fn combine(left: Vec<Part>, right: Vec<Part>) -> Vec<Part> {
    let parts = left.iter().flat_map(|(range, factor)| {
        right.iter().map(move |(other, other_factor)| {
            (range.start.max(other.start)..range.end.min(other.end), factor * other_factor)
        })
    });
    parts.filter(|(range, _)| !range.is_empty()).collect()
}
