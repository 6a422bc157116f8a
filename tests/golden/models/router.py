"""Writes `router.safetensors` beside each model with experts: the loss of the router that transformers (5.19) computes for the
batch of `golden.safetensors`, and its gradients for routers and norms. transformers computes the loss in float32, whatever
the model is computed in: values agree to 1e-6, gradients to 1e-5 of the largest element."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

for family in ["gpt_oss", "mixtral", "qwen2_moe", "qwen3_moe"]:
    folder = Path(__file__).parent / family
    golden = load_file(folder / "golden.safetensors")
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float64, attn_implementation="eager", experts_implementation="eager"
    ).train()
    output = model(golden["input_ids"], attention_mask=golden["attention_mask"], output_router_logits=True)
    output.aux_loss.backward()
    written = {"aux_loss": output.aux_loss.detach().double().reshape(1)}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and any(part in name for part in ["gate.weight", ".router.", "norm"]):
            # As the files have it.
            name = name.replace(".mlp.gate.", ".block_sparse_moe.gate.") if family == "mixtral" else name
            written[f"grad.{name}"] = parameter.grad.double().contiguous()
    save_file(written, folder / "router.safetensors")
