"""Adapters on every linear layer of every family: the executable trains and serves them, and PEFT reads the same from them.
Adapters that PEFT writes on experts are served as PEFT computes them."""

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
from peft import LoraConfig, PeftModel, get_peft_model
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
# Experts that the files have apart and transformers 5 has in stacks.
STACKED = {
    name: ["mlp.experts.gate_up_proj", "mlp.experts.down_proj", "mlp.gate.weight"]
    for name in ("deepseek_v2", "deepseek_v3", "glm4_moe", "mixtral", "qwen2_moe", "qwen3_moe")
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


def prepare(folder, name):
    """A copy of a golden model with a tokenizer."""
    model = folder / name
    shutil.copytree(MODELS / name, model)
    vocabulary = json.loads((model / "config.json").read_text())["vocab_size"]
    write_tokenizer(model, vocabulary)
    return model, vocabulary


def train(folder, name, modules, parameters):
    """Trains an adapter for some steps; the losses, and where it is."""
    model, vocabulary = prepare(folder, name)
    rows = [{"messages": [{"role": "assistant", "content": " ".join(f"w{3 + (7 * row + 5 * step) % (vocabulary - 3)}" for step in range(24))}]}
            for row in range(4)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    targets = ["--target-parameters", *parameters] if parameters else []
    command = [EXECUTABLE, "run", "--plugin", "pt", "--model", model, "--dataset", folder / "rows.jsonl", *targets,
               "--target-modules", *modules, "--lora-dropout", "0", "--lora-rank", "4", "--learning-rate", "0.01",
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


def plain(name):
    base = AutoModelForCausalLM.from_pretrained(MODELS / name, dtype=torch.float32, attn_implementation="eager")
    base.set_experts_implementation("eager")
    return base


def logps(model, prompt):
    """The logarithms of the probabilities of all tokens after each token of a prompt. There is one token more, as in the server's longest
    sequence, for some models rotate by the length."""
    with torch.no_grad():
        return model(input_ids=torch.tensor([[*prompt, 3]])).logits.log_softmax(-1)[0, :-1]


def assert_served_as_peft_computes_it(folder, name, adapter):
    prompt = [3 + 11 * step % 50 for step in range(20)]
    base = plain(name)
    before = logps(base, prompt)
    after = logps(PeftModel.from_pretrained(base, adapter).eval(), prompt)
    assert (before - after).abs().max() > 0.05
    expected = after[:-1].gather(1, torch.tensor(prompt[1:])[:, None])[:, 0]
    with serving(folder, folder / name, adapter, len(prompt) + 1) as url:
        got = torch.tensor(served_logps(url, prompt))
    assert (got - expected).abs().max() < 2e-4


def adapted_in(adapter):
    """The names of what an adapter is on."""
    with safe_open(adapter / "adapter_model.safetensors", "pt") as file:
        return {key.removeprefix("base_model.model.").removesuffix(".lora_A.weight") for key in file.keys() if "lora_A" in key}


@pytest.mark.parametrize("name", sorted(set(path.name for path in MODELS.iterdir() if path.is_dir()) - UNKNOWN))
def test_peft_computes_what_was_trained(name, tmp_path):
    losses, adapter = train(tmp_path, name, ["all-linear"], PARAMETERS.get(name, []))
    assert losses[-1] < losses[0], losses
    matrices, stacks = linear_layers(MODELS / name)
    adapted = adapted_in(adapter)
    assert matrices <= adapted and len(adapted) == len(matrices) + stacks
    assert_served_as_peft_computes_it(tmp_path, name, adapter)


@pytest.mark.parametrize("name", sorted(STACKED))
def test_peft_computes_what_was_trained_on_stacks_of_experts(name, tmp_path):
    losses, adapter = train(tmp_path, name, ["o_proj"], STACKED[name])
    assert losses[-1] < losses[0], losses
    last = json.loads((MODELS / name / "config.json").read_text())["num_hidden_layers"] - 1
    of_layer = {f"model.layers.{last}.{part}" for part in ("self_attn.o_proj", "mlp.experts", "mlp.experts.base_layer", "mlp.gate")}
    assert of_layer == {module for module in adapted_in(adapter) if f"layers.{last}." in module}
    assert_served_as_peft_computes_it(tmp_path, name, adapter)


@pytest.mark.parametrize("modules", ["o_proj", "all-linear"])
@pytest.mark.parametrize("name", sorted({*STACKED, "gpt_oss"}))
def test_what_peft_puts_on_experts_is_served(name, modules, tmp_path):
    prepare(tmp_path, name)
    parameters = [parameter for parameter in STACKED.get(name, STACKED["mixtral"]) if "experts" in parameter]
    # With `all-linear` PEFT takes experts for modules, and finds out by itself that they are none.
    options = dict(target_modules=[modules], target_parameters=parameters) if modules == "o_proj" else dict(target_modules=modules)
    model = get_peft_model(plain(name), LoraConfig(r=3, lora_alpha=6, lora_dropout=0.0, **options))
    generator = torch.Generator().manual_seed(5)
    for key, parameter in model.named_parameters():
        if "lora_B" in key:
            parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)
    model.save_pretrained(tmp_path / "adapter")
    assert_served_as_peft_computes_it(tmp_path, name, tmp_path / "adapter")
