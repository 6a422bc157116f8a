use std::sync::Arc;

use swift_data::TokenText;
use toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};

/// A vocabulary in the library's form. Ids that stand for nothing, and those of a model that its tokeniser does not know,
/// have no bytes, so that no grammar allows them.
///
/// # Errors
/// If there are more tokens than ids have room for.
pub(super) fn environment(
    vocabulary: &[Option<TokenText>],
    ends: &[u32],
    vocab_size: usize,
) -> anyhow::Result<TokEnv> {
    let mut words: Vec<Vec<u8>> = vocabulary.iter().take(vocab_size).map(word).collect();
    words.resize(vocab_size, Vec::new());
    let mut ends = ends.to_vec();
    if ends.is_empty() {
        // A model without an end: one that it can't choose.
        ends.push(u32::try_from(words.len())?);
        words.push(Vec::new());
    }
    for end in &ends {
        // The library tells an end from a text by its marker.
        if let Some(word) = words.get_mut(*end as usize)
            && word.first() != Some(&TokTrie::SPECIAL_TOKEN_MARKER)
        {
            *word = special(&format!("<end-{end}>"));
        }
    }
    let first = ends.first().copied().unwrap_or_default();
    let trie = TokTrie::from(&TokRxInfo::new(u32::try_from(words.len())?, first), &words);
    Ok(Arc::new(ApproximateTokEnv::new(trie.with_eos_tokens(&ends))))
}

fn word(token: &Option<TokenText>) -> Vec<u8> {
    match token {
        None => Vec::new(),
        Some(TokenText::Bytes(bytes)) => bytes.clone(),
        Some(TokenText::Special(name)) => special(name),
    }
}

fn special(name: &str) -> Vec<u8> {
    [&[TokTrie::SPECIAL_TOKEN_MARKER][..], name.as_bytes()].concat()
}
