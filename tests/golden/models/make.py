"""Makes golden folders of models: tiny random weights, and what transformers computes with them on a CPU in float32.

    pip install torch==2.15.0 transformers==5.19.0 safetensors
    python make.py              # all of the table below
    python make.py granite phi  # some

Each folder has `config.json` as transformers 5 writes it, `config_v4.json` with the older names of its settings,
`model.safetensors`, and `golden.safetensors` with the inputs, `logits`, `loss`, `hidden_after_layer_0`, and for each
parameter its gradient as `grad.NAME`. Weights are drawn anew until float32 and float64 agree, so that no choice of
experts hangs on a rounding, and every parameter has a gradient. Folders that are not in the table were made earlier, in the same form.

What transformers has no class for is another class's model with its weights rearranged, as the published code says it.
"""

import json
import pathlib
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.bloom.modeling_bloom import build_alibi_tensor

HERE = pathlib.Path(__file__).resolve().parent
LENGTH, PADDED, MASKED = 16, 3, 4
BASE = dict(
    vocab_size=64, hidden_size=32, intermediate_size=16, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=256, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    tie_word_embeddings=False,
)


def rope(theta=10000.0, **more):
    return {"rope_type": "default", "rope_theta": theta, **more}


# The longest sequence that is rotated as short ones are; the first of a batch is longer, the second isn't.
BORDER = LENGTH - PADDED + 1
SMALL = dict(hidden_size=16, num_attention_heads=2, num_key_value_heads=1)

MIXTURE = dict(n_routed_experts=8, num_experts_per_tok=3, n_shared_experts=1, moe_intermediate_size=4,
               first_k_dense_replace=1, routed_scaling_factor=1.8, num_mtp_layers=0)

# A folder, the `model_type` that computes it, and settings besides BASE.
TABLE = {
    "baichuan2": ("llama", dict(num_key_value_heads=4, rms_norm_eps=1e-6)),
    "baichuan2_slopes": ("llama", dict(
        hidden_size=12, num_attention_heads=6, num_key_value_heads=6, rms_norm_eps=1e-6)),
    "cohere": ("cohere", dict(logit_scale=0.5, tie_word_embeddings=True)),
    "cohere2": ("cohere2", dict(
        logit_scale=0.5, sliding_window=8, tie_word_embeddings=True, num_hidden_layers=2,
        layer_types=["sliding_attention", "full_attention"])),
    "deepseek_v2": ("deepseek_v2", {
        **MIXTURE, "q_lora_rank": 12, "kv_lora_rank": 8, "qk_nope_head_dim": 6, "qk_rope_head_dim": 4, "v_head_dim": 6,
        "num_key_value_heads": 4, "n_group": 4, "topk_group": 2, "topk_method": "group_limited_greedy"}),
    "glm4_moe": ("glm4_moe", {
        **MIXTURE, "n_group": 4, "topk_group": 2, "norm_topk_prob": True, "head_dim": 12, "use_qk_norm": True,
        "attention_bias": True, "rope_parameters": rope(partial_rotary_factor=0.5)}),
    "granite": ("granite", dict(
        embedding_multiplier=3.0, residual_multiplier=0.4, attention_multiplier=0.2, logits_scaling=0.5)),
    "hunyuan_dense": ("hunyuan_v1_dense", dict(
        head_dim=12, rope_parameters={"rope_type": "dynamic", "rope_theta": 100.0, "alpha": 50.0, "factor": 1.0})),
    "internlm2": ("llama", dict(rope_parameters=rope(1000000.0))),
    "internlm3": ("llama", dict(attention_bias=True, mlp_bias=True, head_dim=12)),
    "llama_dynamic": ("llama", {
        **SMALL, "max_position_embeddings": BORDER,
        "rope_parameters": {"rope_type": "dynamic", "rope_theta": 100.0, "factor": 3.0}}),
    "minicpm": ("granite", dict(
        embedding_multiplier=12.0, residual_multiplier=1.4 / 2**0.5, attention_multiplier=8**-0.5, logits_scaling=2.0)),
    "phi": ("phi", dict(rope_parameters=rope(partial_rotary_factor=0.5))),
    "phi3_longrope": ("phi3", {
        **SMALL, "max_position_embeddings": 64, "original_max_position_embeddings": BORDER,
        "rope_parameters": {
            "rope_type": "longrope", "rope_theta": 100.0, "original_max_position_embeddings": BORDER,
            "short_factor": [1.0, 1.1, 1.3, 1.5], "long_factor": [1.2, 2.0, 3.0, 5.0]}}),
    "seed_oss": ("seed_oss", dict(head_dim=12, attention_bias=True, attention_out_bias=True)),
    "smollm3": ("smollm3", dict(no_rope_layers=[1, 0], tie_word_embeddings=True)),
    "stablelm": ("stablelm", dict(use_qkv_bias=True, rope_parameters=rope(partial_rotary_factor=0.25))),
    "starcoder2": ("starcoder2", dict(sliding_window=8, use_bias=True)),
}


def randomise(model, seed):
    """Draws every parameter and every stored buffer, so that nothing is at a neutral value."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if not tensor.is_floating_point() or "inv_freq" in name:
            continue
        noise = torch.randn(tensor.shape, generator=generator)
        with torch.no_grad():
            if tensor.ndim == 1 and "norm" in name and name.endswith("weight"):
                tensor.copy_(1 + 0.2 * noise)
            elif tensor.ndim == 1:
                tensor.copy_(0.2 * noise)
            else:
                tensor.copy_((0.4 if "embed" in name else tensor.shape[-1] ** -0.5) * noise)


class NormalisedHead(torch.nn.Linear):
    """Baichuan 2's output projection, whose rows have the length 1 (`NormHead` of its published code)."""

    def forward(self, hidden):
        return torch.nn.functional.linear(hidden, torch.nn.functional.normalize(self.weight))


def slopes(model, mask):
    """What Baichuan of 13 billion parameters adds to scores, as Bloom computes it, and the mask of what is not seen."""
    heads = model.config.num_attention_heads
    biases = build_alibi_tensor(mask, heads, model.dtype).reshape(len(mask), heads, 1, -1)
    seen = torch.ones(mask.shape[1], mask.shape[1]).tril().bool() & mask.bool()[:, None, None]
    return biases.masked_fill(~seen, torch.finfo(model.dtype).min)


def build(name, seed):
    kind, settings = TABLE[name]
    config = AutoConfig.for_model(kind, **{**BASE, **settings})
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    if name.startswith("baichuan2"):
        model.lm_head = NormalisedHead(*reversed(model.lm_head.weight.shape), bias=False)
    if name == "baichuan2_slopes":
        model.slopes = True
    if hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")
    randomise(model, seed)
    return model


def stored(model):
    """The tensors of a model as `save_pretrained` names and shapes them."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return load_file(pathlib.Path(folder) / "model.safetensors")


def compute(model, ids, mask, labels):
    model.zero_grad()
    first = []
    hook = model.model.layers[0].register_forward_hook(
        lambda _module, _inputs, output: first.append(output[0] if isinstance(output, tuple) else output))
    config = model.config
    if hasattr(model, "slopes"):
        # No position is rotated.
        model.model.rotary_emb.inv_freq.zero_()
        logits = model(input_ids=ids, attention_mask=slopes(model, mask), use_cache=False).logits
    elif config.rope_parameters["rope_type"] in ("dynamic", "longrope"):
        # Alone, for transformers rotates all sequences of a batch by the longest.
        rows = [model(input_ids=row[:count][None], use_cache=False).logits[0] for row, count in zip(ids, mask.sum(1))]
        logits = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    else:
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    hook.remove()
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
    loss.backward()
    return logits.detach(), loss.detach(), first[0][0].detach().clone()


def rearranged(name, tensors, config):
    """Weights, or gradients, under the names and in the shapes of the published files."""
    if name == "internlm2":
        names = {"embed_tokens": "tok_embeddings", "lm_head": "output", "input_layernorm": "attention_norm",
                 "post_attention_layernorm": "ffn_norm", "self_attn.o_proj": "attention.wo",
                 "mlp.gate_proj": "feed_forward.w1", "mlp.up_proj": "feed_forward.w3", "mlp.down_proj": "feed_forward.w2"}
        heads, joined = (config["num_key_value_heads"], -1, config["hidden_size"]), "attention.wqkv"
    elif name.startswith("baichuan2"):
        names, heads, joined = {}, (1, -1, config["hidden_size"]), "self_attn.W_pack"
    else:
        return tensors
    result, width = {}, config["hidden_size"]
    for key, tensor in tensors.items():
        for usual, other in names.items():
            key = key.replace(usual, other)
        result[key] = tensor
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        parts = [result.pop(f"{prefix}self_attn.{part}_proj.weight").reshape(heads) for part in "qkv"]
        result[f"{prefix}{joined}.weight"] = torch.cat(parts, 1).reshape(-1, width).clone()
    return result


def published(name, config):
    """What `config.json` of the published models says, where that is not what transformers writes."""
    config = dict(config)
    if name == "internlm2":
        config.update(architectures=["InternLM2ForCausalLM"], model_type="internlm2", bias=False)
    if name.startswith("baichuan2"):
        config.update(architectures=["BaichuanForCausalLM"], model_type="baichuan", model_max_length=256)
        del config["num_key_value_heads"]
    if name == "baichuan2_slopes":
        del config["max_position_embeddings"], config["rope_parameters"]
    if name == "internlm3":
        config.update(architectures=["InternLM3ForCausalLM"], model_type="internlm3", qkv_bias=True, bias=True)
        del config["attention_bias"], config["mlp_bias"]
    if name == "minicpm":
        config.update(architectures=["MiniCPMForCausalLM"], model_type="minicpm", scale_emb=12, scale_depth=1.4,
                      dim_model_base=16)
        for setting in ("embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling"):
            del config[setting]
    return config


def older(config):
    """The same in the names of transformers 4."""
    config = dict(config) | {"torch_dtype": "float32", "transformers_version": "4.51.0"}
    del config["dtype"]
    if "rope_parameters" not in config:
        return config
    scaling = dict(config.pop("rope_parameters"))
    config["rope_theta"] = scaling.pop("rope_theta")
    share = scaling.pop("partial_rotary_factor", None)
    if share is not None:
        config["partial_rotary_factor"] = share
    kind = scaling.pop("rope_type")
    config["rope_scaling"] = None if kind == "default" else {"type": kind, **scaling}
    return config


def draw(seed):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, BASE["vocab_size"], (2, LENGTH), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, LENGTH - PADDED:] = 0
    ids = ids * mask
    labels = torch.where(mask.bool(), ids, -100)
    labels[:, :MASKED] = -100
    return ids, mask, labels


def make(name):
    for seed in range(100):
        inputs = draw(1000 + seed)
        model = build(name, seed)
        logits, loss, first = compute(model, *inputs)
        gradients = build(name, seed)
        with torch.no_grad():
            for target, source in zip(gradients.parameters(), model.parameters(), strict=True):
                target.copy_(source.grad)
        exact = build(name, seed).double()
        wide, _, _ = compute(exact, *inputs)
        moved = all(parameter.grad.abs().max() > 0 for parameter in model.parameters())
        if moved and (wide - logits)[inputs[1].bool()].abs().max() < 2e-5:
            break
    else:
        raise SystemExit(f"{name}: no weights with clear routing")
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    config = json.loads(model.config.to_json_string(use_diff=False)) | {"architectures": [type(model).__name__]}
    config = {key: value for key, value in config.items() if value is not None} | {"dtype": "float32"}
    for key in ("_name_or_path", "id2label", "label2id", "chunk_size_feed_forward", "problem_type", "return_dict",
                "output_hidden_states", "output_attentions", "is_encoder_decoder", "initializer_range", "use_cache"):
        config.pop(key, None)
    weights = rearranged(name, stored(model), config)
    # Buffers have no gradient.
    buffers = {key.replace("model.", "", 1) for key, _ in model.named_buffers()}
    grads = rearranged(name, stored(gradients), config)
    config = published(name, config)
    for file, settings in (("config.json", config), ("config_v4.json", older(config))):
        (folder / file).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    ids, mask, labels = inputs
    golden = {"input_ids": ids, "attention_mask": mask, "labels": labels, "logits": logits * mask[..., None],
              "loss": loss, "hidden_after_layer_0": first}
    golden |= {f"grad.{key}": tensor for key, tensor in grads.items() if key.replace("model.", "", 1) not in buffers}
    about = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    save_file({key: tensor.contiguous() for key, tensor in golden.items()}, folder / "golden.safetensors",
              metadata={"about": json.dumps(about)})
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1024
    print(f"{name}: {size:.0f} KiB, loss {loss:.4f}, seed {seed}, logits {logits.std():.2f}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for name in sys.argv[1:] or TABLE:
        make(name)
