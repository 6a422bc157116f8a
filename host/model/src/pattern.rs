//! Names with wildcards, as architectures list the tensors they do not use.

/// Whether `name` is what `pattern` describes: `*` stands for any run of characters, everything else for itself.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|start| name.strip_prefix(start)) else { return false };
    let Some(end) = parts.next_back() else { return rest.is_empty() };
    // Each middle part is taken at its first place: no later place leaves more for what follows.
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        assert!(matches("lm_head.weight", "lm_head.weight"));
        assert!(matches("*.rotary_emb.inv_freq", "model.layers.0.self_attn.rotary_emb.inv_freq"));
        assert!(matches("model.layers.*.bias", "model.layers.10.mlp.bias"));
        assert!(matches("a*b*c", "abbc"));
        assert!(matches("*", ""));
        assert!(matches("a*", "a"));
    }

    #[test]
    fn what_is_not_a_star_stands_for_itself() {
        assert!(!matches("lm_head.weight", "lm_head.weights"));
        assert!(!matches("lm_head.weight", "x.lm_head.weight"));
        assert!(!matches("model.*.bias", "model.bias"));
        assert!(!matches("a*ab", "ab"));
        assert!(!matches("", "a"));
    }
}
