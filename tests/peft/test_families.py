"""Adapters on every linear layer of every family: the executable trains and serves them, and PEFT reads the same from them."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import urllib.request

import pytest
import torch
import transformers
from peft import PeftModel
from peft.utils import transformers_weight_conversion
from safetensors import safe_open
from transformers import AutoModelForCausalLM

ROOT = pathlib.Path(__file__).parents[2]
MODELS = ROOT / "tests/golden/models"
EXECUTABLE = os.environ.get("SWIFT_HOST", str(ROOT / "target/debug/swift-host"))

# transformers has no class for these.
UNKNOWN = {"baichuan2", "baichuan2_slopes", "internlm2", "internlm3", "minicpm"}
# What transformers 5 does not make modules of, or PEFT would look for among the experts only.
DENSE = [f"mlp.{part}_proj.weight" for part in ("gate", "up", "down")]
PARAMETERS = {
    "deepseek_v2": ["mlp.gate.weight", *DENSE, *(f"shared_experts.{part[4:]}" for part in DENSE)],
    "deepseek_v3": ["mlp.gate.weight", *DENSE, *(f"shared_experts.{part[4:]}" for part in DENSE)],
    "glm4_moe": ["mlp.gate.weight", *DENSE, *(f"shared_experts.{part[4:]}" for part in DENSE)],
    "gpt_oss": ["mlp.router.weight", "mlp.experts.gate_up_proj", "mlp.experts.down_proj"],
    "qwen2_moe": ["mlp.gate.weight", *(f"shared_expert.{part[4:]}" for part in DENSE)],
    "qwen3_moe": ["mlp.gate.weight"],
}
# PEFT 0.20 knows how experts are stacked of all models that are like Qwen2's, but not of these themselves.
transformers_weight_conversion._MODEL_TO_CONVERSION_PATTERN.setdefault("qwen2_moe", "qwen2_moe")
transformers.utils.logging.disable_progress_bar()


def write_tokenizer(folder, vocabulary):
    """One word for each token."""
    words = {f"w{token}": token for token in range(vocabulary)}
    model = {"type": "WordLevel", "vocab": words, "unk_token": "w3"}
    special = [
        {"id": token, "content": f"w{token}", "special": True, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False}
        for token in range(3)
    ]
    parts = {"truncation": None, "padding": None, "normalizer": None, "post_processor": None, "decoder": None}
    tokenizer = {"version": "1.0", "added_tokens": special, "pre_tokenizer": {"type": "WhitespaceSplit"}, "model": model}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer | parts))
    settings = {"eos_token": "w2", "pad_token": "w0", "bos_token": "w1", "tokenizer_class": "PreTrainedTokenizerFast"}
    template = "{% for message in messages %}{{ message['content'] + ' w2 ' }}{% endfor %}"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": template}))


def linear_layers(folder):
    """The names of the matrices of all layers, and how many stacks of matrices there are."""
    with safe_open(folder / "model.safetensors", "pt") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}
    layers = {name: shape for name, shape in shapes.items() if ".layers." in name}
    matrices = {name.removesuffix(".weight") for name, shape in layers.items() if len(shape) == 2 and "bias" not in name}
    return matrices, sum(len(shape) == 3 for shape in layers.values())


def train(folder, name):
    """Trains an adapter for some steps; the losses, and where it is."""
    model = folder / name
    shutil.copytree(MODELS / name, model)
    vocabulary = json.loads((model / "config.json").read_text())["vocab_size"]
    write_tokenizer(model, vocabulary)
    rows = [{"messages": [{"role": "assistant", "content": " ".join(f"w{3 + (7 * row + 5 * step) % (vocabulary - 3)}" for step in range(24))}]}
            for row in range(4)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    targets = ["--target-parameters", *PARAMETERS[name]] if name in PARAMETERS else []
    command = [EXECUTABLE, "run", "--plugin", "pt", "--model", model, "--dataset", folder / "rows.jsonl", *targets,
               "--target-modules", "all-linear", "--lora-dropout", "0", "--lora-rank", "4", "--learning-rate", "0.01",
               "--lr-scheduler-type", "constant", "--per-device-train-batch-size", "4", "--gradient-accumulation-steps", "1",
               "--max-steps", "8", "--logging-steps", "1", "--output-dir", folder / "out"]
    run = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    lines = map(json.loads, (folder / "out/logging.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "loss" in line], folder / "out/checkpoint-8"


@contextlib.contextmanager
def serving(folder, model, adapter, longest):
    command = [EXECUTABLE, "deploy", "--model", model, "--adapters", f"trained={adapter}", "--port", "0",
               "--max-model-len", longest]
    environment = {**os.environ, "NO_COLOR": "1"}
    server = subprocess.Popen([str(word) for word in command], cwd=folder, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        yield server.stdout.readline().split(" at ")[1].strip()
    finally:
        server.kill()
        server.communicate()


def served_logps(url, prompt):
    """The log-probability of each token of a prompt but the first."""
    body = {"model": "trained", "prompt": prompt, "max_tokens": 1, "prompt_logprobs": 0}
    request = urllib.request.Request(url + "/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        found = json.load(answer)["choices"][0]["prompt_logprobs"]
    return [entry[str(token)]["logprob"] for entry, token in zip(found[1:], prompt[1:], strict=True)]


@pytest.mark.parametrize("name", sorted(set(path.name for path in MODELS.iterdir() if path.is_dir()) - UNKNOWN))
def test_peft_computes_what_was_trained(name, tmp_path):
    losses, adapter = train(tmp_path, name)
    assert losses[-1] < losses[0], losses

    matrices, stacks = linear_layers(MODELS / name)
    with safe_open(adapter / "adapter_model.safetensors", "pt") as file:
        adapted = {key.removeprefix("base_model.model.").removesuffix(".lora_A.weight") for key in file.keys() if "lora_A" in key}
    assert matrices <= adapted and len(adapted) == len(matrices) + stacks

    prompt = [3 + 11 * step % 50 for step in range(20)]
    base = AutoModelForCausalLM.from_pretrained(MODELS / name, dtype=torch.float32, attn_implementation="eager")
    base.set_experts_implementation("eager")
    with torch.no_grad():
        before = base(input_ids=torch.tensor([prompt])).logits.log_softmax(-1)[0]
        model = PeftModel.from_pretrained(base, adapter).eval()
        # One token more, as the server's longest sequence has, for some models rotate by the length.
        after = model(input_ids=torch.tensor([[*prompt, 3]])).logits.log_softmax(-1)[0, :-1]
    assert (before - after).abs().max() > 0.05
    expected = after[:-1].gather(1, torch.tensor(prompt[1:])[:, None])[:, 0]
    with serving(tmp_path, tmp_path / name, adapter, len(prompt) + 1) as url:
        got = torch.tensor(served_logps(url, prompt))
    assert (got - expected).abs().max() < 2e-4
