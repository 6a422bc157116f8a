//! The standard plugins, embedded: components that go the same way as a third party's file.

/// Name and component of each standard plugin, in order of their names.
pub static STANDARD: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/standard.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_standard_plugin_is_a_component() {
        let names: Vec<&str> = STANDARD.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            [
                "alpaca",
                "chat-templates",
                "classification",
                "cohere",
                "cpo",
                "deepseek",
                "dpo",
                "early-stopping",
                "embedding",
                "format",
                "gemma",
                "gkd",
                "glm4",
                "glm4_moe",
                "gpt_oss",
                "grpo",
                "json_calls",
                "kto",
                "lion",
                "llama",
                "loss-scale-rules",
                "messages",
                "mixtral",
                "olmo2",
                "orpo",
                "perplexity",
                "phi3",
                "ppo",
                "preference",
                "pt",
                "pythonic",
                "qwen_moe",
                "reranker",
                "rm",
                "sft",
                "simpo",
                "typical",
                "wsd",
            ]
        );
        // The magic number, then the version and layer of a component; a core module has `01 00 00 00`.
        assert!(STANDARD.iter().all(|(_, component)| component.starts_with(b"\0asm\x0d\0\x01\0")));
    }
}
