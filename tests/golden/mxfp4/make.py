"""Makes a tiny gpt-oss whose experts are in MXFP4, as they are published, and what transformers computes with them in float32.

    pip install torch==2.15.0 transformers==5.19.0 safetensors accelerate
    python make.py

Blocks of 32 elements along the inputs have 4 bits each (OCP Microscaling Formats 1.0, section 5.3) and a power of two. transformers
reads the folder itself, and makes the experts dense in bfloat16, which holds them exactly.
"""

import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GptOssConfig, GptOssForCausalLM
from transformers.integrations.mxfp4 import FP4_VALUES

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "models"))
from make import draw, randomise  # noqa: E402


def quantised(weight):
    """Blocks and scales of `[experts, in, out]`: those of `[experts, out, in]`, the lower four bits of a byte first."""
    groups = weight.transpose(1, 2).unflatten(2, (-1, 32))
    # The greatest element of a block is at most 6, the greatest number of 4 bits, as far as a power of two makes it so.
    exponents = (groups.abs().amax(-1, keepdim=True).log2().floor() - 2).clamp(-127, 127)
    values = torch.tensor(FP4_VALUES)
    codes = (groups * 2**-exponents)[..., None].sub(values).abs().argmin(-1)
    blocks = codes[..., 0::2] | codes[..., 1::2] << 4
    return blocks.to(torch.uint8), (exponents[..., 0] + 127).to(torch.uint8)


def main():
    config = GptOssConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        head_dim=8, num_local_experts=4, num_experts_per_tok=2, sliding_window=8, max_position_embeddings=256,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, dtype="float32",
        rope_parameters={"rope_type": "yarn", "rope_theta": 150000.0, "factor": 4.0, "beta_fast": 32.0, "beta_slow": 1.0,
                         "original_max_position_embeddings": 64, "truncate": False})
    model = GptOssForCausalLM(config)
    randomise(model, 0)
    model.save_pretrained(HERE / "gpt_oss")
    weights = load_file(HERE / "gpt_oss/model.safetensors")
    for name in [name for name in weights if name.endswith("_proj") and "experts" in name]:
        # Magnitudes that differ by much, so that scales do.
        scale = 2.0 ** torch.randint(-3, 2, (4, 1, weights[name].shape[2]), generator=torch.manual_seed(1))
        weights[f"{name}_blocks"], weights[f"{name}_scales"] = quantised(weights.pop(name) * scale)
    save_file(weights, HERE / "gpt_oss/model.safetensors", metadata={"format": "pt"})
    settings = json.loads((HERE / "gpt_oss/config.json").read_text())
    settings["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]}
    (HERE / "gpt_oss/config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    (HERE / "gpt_oss/generation_config.json").unlink(missing_ok=True)

    dense = AutoModelForCausalLM.from_pretrained(HERE / "gpt_oss", dtype=torch.float32, attn_implementation="eager").float().eval()
    dense.set_experts_implementation("eager")
    ids, mask, labels = draw(5)
    with torch.no_grad():
        logits = dense(input_ids=ids, attention_mask=mask, use_cache=False).logits
    golden = {"input_ids": ids, "attention_mask": mask, "labels": labels, "logits": logits * mask[..., None]}
    about = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}
    save_file({name: tensor.contiguous() for name, tensor in golden.items()}, HERE / "gpt_oss/golden.safetensors",
              metadata={"about": json.dumps(about)})
    print({name: (tuple(tensor.shape), tensor.dtype) for name, tensor in weights.items() if "experts" in name}, logits.std())


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
