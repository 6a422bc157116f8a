//! What sets the members of the family apart.

use swift_plugin::decoder;

use crate::config::HeadNorms;

/// A row of the table.
pub(crate) struct Family {
    pub(crate) architecture: &'static str,
    pub(crate) model_type: &'static str,
    /// Biases of the query, key and value projections.
    pub(crate) qkv_bias: Bias,
    /// The bias of the output projection.
    pub(crate) o_bias: Bias,
    /// Biases of the feed-forward part.
    pub(crate) mlp_bias: Bias,
    /// RMSNorm over each head's queries and keys.
    pub(crate) head_norms: HeadNorms,
    /// Which layers look back only `sliding_window` positions, where `layer_types` does not say it.
    pub(crate) sliding: Sliding,
    /// Components of each head if the configuration says nothing; `hidden_size / heads` if none.
    pub(crate) head_dim: Option<u64>,
    /// How hidden states are normalised.
    pub(crate) norm: Normalisation,
    /// Whether the feed-forward part has a gate; else it is `down(f(up(x)))`.
    pub(crate) gated: bool,
    /// Whether the feed-forward part gets what attention gets, and stands beside it.
    pub(crate) parallel: Bias,
    /// Whether queries, keys and values come from one matrix.
    pub(crate) joined: Joined,
    /// Parts of the usual names of parameters that are others here.
    pub(crate) names: &'static [(&'static str, &'static str)],
    /// The head's own ways.
    pub(crate) head: HeadStyle,
    /// Whether the head is the embedding if the configuration says nothing.
    pub(crate) tied: bool,
    /// Where factors on hidden states and scores come from.
    pub(crate) multipliers: Multipliers,
    /// Whether some layers don't rotate queries and keys.
    pub(crate) skips_rotation: bool,
    /// The share of each head that is rotated if the configuration says nothing; none if all of it always is.
    pub(crate) partial_rotary: Option<f64>,
    /// The setting without which positions are slopes of scores (Press et al. 2022, "ALiBi"), and nothing is rotated.
    pub(crate) alibi_without: Option<&'static str>,
    /// Rates of dropout that released files have above zero, and that are passed over with a warning.
    pub(crate) dropouts: &'static [&'static str],
    /// Settings that turn on what is not implemented.
    pub(crate) refused: &'static [&'static str],
}

/// Whether something is so, such as that linear layers have a bias.
#[derive(Clone, Copy)]
pub(crate) enum Bias {
    Always,
    Never,
    /// If this setting is true.
    If(&'static str),
    /// If this setting is true or missing.
    Unless(&'static str),
}

/// Whether queries, keys and values come from one matrix, which is called `qkv_proj` here.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Joined {
    No,
    /// First all queries, then all keys, then all values.
    Parts,
    /// For each key-value head its queries, its key and its value.
    Heads,
}

/// What is special about the output projection.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum HeadStyle {
    Plain,
    /// It has a bias.
    Bias,
    /// Rows of its weight are divided by their lengths, unless there are so many of them: models of two generations have one
    /// name, and the vocabulary tells which one it is.
    NormalisedUnless {
        vocabulary: u64,
    },
}

/// Which layers look back only `sliding_window` positions.
#[derive(Clone, Copy)]
pub(crate) enum Sliding {
    Never,
    /// All, unless the window is null; of this size if the configuration says nothing.
    All {
        default: Option<u32>,
    },
    /// From `max_window_layers` on, if `use_sliding_window` is true.
    Upper,
}

/// How hidden states are normalised.
#[derive(Clone, Copy)]
pub(crate) enum Normalisation {
    /// RMSNorm with `rms_norm_eps`.
    Rms,
    /// LayerNorm with biases; this setting is added to the variance.
    Layer(&'static str),
}

/// Where factors on hidden states and scores come from.
#[derive(Clone, Copy)]
pub(crate) enum Multipliers {
    None,
    /// A setting for each.
    Granite,
    /// `scale_emb`, `scale_depth` and `dim_model_base`.
    MiniCpm,
}

const LLAMA: Family = Family {
    architecture: "LlamaForCausalLM",
    model_type: "llama",
    qkv_bias: Bias::If("attention_bias"),
    o_bias: Bias::If("attention_bias"),
    mlp_bias: Bias::If("mlp_bias"),
    head_norms: None,
    sliding: Sliding::Never,
    head_dim: None,
    norm: Normalisation::Rms,
    gated: true,
    parallel: Bias::Never,
    joined: Joined::No,
    names: &[],
    head: HeadStyle::Plain,
    tied: false,
    multipliers: Multipliers::None,
    skips_rotation: false,
    partial_rotary: None,
    alibi_without: None,
    dropouts: &[],
    refused: &[],
};

/// Without any bias.
const PLAIN: Family = Family { qkv_bias: Bias::Never, o_bias: Bias::Never, mlp_bias: Bias::Never, ..LLAMA };

/// The first Baichuan, of 7 billion parameters. Those of 13 billion have the name of Baichuan 2, and slopes.
const BAICHUAN: Family = Family {
    architecture: "BaiChuanForCausalLM",
    model_type: "baichuan",
    joined: Joined::Parts,
    names: &[("self_attn.qkv_proj", "self_attn.W_pack")],
    alibi_without: Some("max_position_embeddings"),
    ..PLAIN
};

/// The supported architectures.
pub(crate) const FAMILIES: [Family; 16] = [
    LLAMA,
    Family {
        architecture: "MistralForCausalLM",
        model_type: "mistral",
        sliding: Sliding::All { default: Some(4096) },
        ..PLAIN
    },
    Family {
        architecture: "Qwen2ForCausalLM",
        model_type: "qwen2",
        qkv_bias: Bias::Always,
        sliding: Sliding::Upper,
        ..PLAIN
    },
    Family {
        architecture: "Qwen3ForCausalLM",
        model_type: "qwen3",
        mlp_bias: Bias::Never,
        head_norms: Some((["q_norm", "k_norm"], false)),
        sliding: Sliding::Upper,
        head_dim: Some(128),
        ..LLAMA
    },
    Family {
        architecture: "InternLM3ForCausalLM",
        model_type: "internlm3",
        qkv_bias: Bias::If("qkv_bias"),
        o_bias: Bias::If("bias"),
        mlp_bias: Bias::If("bias"),
        ..LLAMA
    },
    Family {
        architecture: "HunYuanDenseV1ForCausalLM",
        model_type: "hunyuan_v1_dense",
        mlp_bias: Bias::Never,
        head_norms: Some((["query_layernorm", "key_layernorm"], true)),
        ..LLAMA
    },
    Family {
        architecture: "SmolLM3ForCausalLM",
        model_type: "smollm3",
        tied: true,
        skips_rotation: true,
        refused: &["use_sliding_window"],
        ..LLAMA
    },
    Family {
        architecture: "SeedOssForCausalLM",
        model_type: "seed_oss",
        qkv_bias: Bias::Unless("attention_bias"),
        o_bias: Bias::If("attention_out_bias"),
        head_dim: Some(128),
        dropouts: &["attention_dropout", "residual_dropout"],
        ..LLAMA
    },
    Family {
        architecture: "GraniteForCausalLM",
        model_type: "granite",
        multipliers: Multipliers::Granite,
        dropouts: &["attention_dropout"],
        ..LLAMA
    },
    Family {
        architecture: "MiniCPMForCausalLM",
        model_type: "minicpm",
        mlp_bias: Bias::Never,
        tied: true,
        multipliers: Multipliers::MiniCpm,
        refused: &["sparse_config"],
        ..LLAMA
    },
    Family {
        architecture: "Starcoder2ForCausalLM",
        model_type: "starcoder2",
        qkv_bias: Bias::Unless("use_bias"),
        o_bias: Bias::Unless("use_bias"),
        mlp_bias: Bias::Unless("use_bias"),
        sliding: Sliding::All { default: None },
        norm: Normalisation::Layer("norm_epsilon"),
        gated: false,
        names: &[("mlp.up_proj", "mlp.c_fc"), ("mlp.down_proj", "mlp.c_proj")],
        tied: true,
        dropouts: &["attention_dropout", "residual_dropout", "embedding_dropout"],
        ..LLAMA
    },
    Family {
        architecture: "StableLmForCausalLM",
        model_type: "stablelm",
        qkv_bias: Bias::If("use_qkv_bias"),
        norm: Normalisation::Layer("layer_norm_eps"),
        parallel: Bias::If("use_parallel_residual"),
        partial_rotary: Some(0.25),
        refused: &["qk_layernorm"],
        ..PLAIN
    },
    Family {
        architecture: "PhiForCausalLM",
        model_type: "phi",
        qkv_bias: Bias::Always,
        o_bias: Bias::Always,
        mlp_bias: Bias::Always,
        norm: Normalisation::Layer("layer_norm_eps"),
        gated: false,
        parallel: Bias::Always,
        names: &[
            ("self_attn.o_proj", "self_attn.dense"),
            ("mlp.up_proj", "mlp.fc1"),
            ("mlp.down_proj", "mlp.fc2"),
            ("model.norm", "model.final_layernorm"),
        ],
        head: HeadStyle::Bias,
        partial_rotary: Some(0.5),
        dropouts: &["attention_dropout", "resid_pdrop", "embd_pdrop"],
        refused: &["qk_layernorm"],
        ..LLAMA
    },
    Family {
        architecture: "BaichuanForCausalLM",
        head: HeadStyle::NormalisedUnless { vocabulary: 64_000 },
        ..BAICHUAN
    },
    BAICHUAN,
    Family {
        architecture: "InternLM2ForCausalLM",
        model_type: "internlm2",
        qkv_bias: Bias::If("bias"),
        o_bias: Bias::If("bias"),
        mlp_bias: Bias::Never,
        joined: Joined::Heads,
        names: &[
            ("model.embed_tokens", "model.tok_embeddings"),
            ("lm_head", "output"),
            ("input_layernorm", "attention_norm"),
            ("post_attention_layernorm", "ffn_norm"),
            ("self_attn.qkv_proj", "attention.wqkv"),
            ("self_attn.o_proj", "attention.wo"),
            ("mlp.gate_proj", "feed_forward.w1"),
            ("mlp.up_proj", "feed_forward.w3"),
            ("mlp.down_proj", "feed_forward.w2"),
            ("self_attn.rotary_emb", "attention.rotary_emb"),
        ],
        ..LLAMA
    },
];

impl decoder::Family for Family {
    fn architecture(&self) -> &str {
        self.architecture
    }

    fn model_type(&self) -> &str {
        self.model_type
    }
}
