"""Measures training on a CUDA device: steps of a model with random weights in the shape of a published one.

Nothing is compared, so no row can fail by its number; a run that fails does."""

import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

LENGTH = 2048
STEPS = 6
# Hidden size, layers, heads, key-value heads, size of the feed-forward part: Qwen2.5-0.5B and Qwen2.5-1.5B.
SHAPES = {"0.5B": (896, 24, 14, 2, 4864), "1.5B": (1536, 28, 12, 2, 8960)}
VOCABULARY = 151936


def tensors(shape):
    hidden, layers, heads, kv_heads, inner = shape
    width = hidden // heads * kv_heads
    yield "model.embed_tokens.weight", (VOCABULARY, hidden)
    yield "model.norm.weight", (hidden,)
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        for name, rows, columns in [("q", hidden, hidden), ("k", width, hidden), ("v", width, hidden)]:
            yield f"{prefix}self_attn.{name}_proj.weight", (rows, columns)
            yield f"{prefix}self_attn.{name}_proj.bias", (rows,)
        yield f"{prefix}self_attn.o_proj.weight", (hidden, hidden)
        yield f"{prefix}mlp.gate_proj.weight", (inner, hidden)
        yield f"{prefix}mlp.up_proj.weight", (inner, hidden)
        yield f"{prefix}mlp.down_proj.weight", (hidden, inner)
        yield f"{prefix}input_layernorm.weight", (hidden,)
        yield f"{prefix}post_attention_layernorm.weight", (hidden,)


def write_model(folder: pathlib.Path, small: pathlib.Path, shape) -> None:
    """Random weights of about 0.02, as bytes: the upper half of a float32 of a random sign and fraction."""
    hidden, layers, heads, kv_heads, inner = shape
    folder.mkdir()
    config = json.loads((small / "config.json").read_text())
    config |= {
        "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "intermediate_size": inner, "vocab_size": VOCABULARY,
        "torch_dtype": "bfloat16", "tie_word_embeddings": True, "max_position_embeddings": 32768,
    }
    for stale in ("head_dim", "layer_types", "max_window_layers"):
        config.pop(stale, None)
    (folder / "config.json").write_text(json.dumps(config))
    for file in small.iterdir():
        if file.name.startswith("tokenizer") or file.suffix == ".jinja":
            (folder / file.name).write_bytes(file.read_bytes())
    header, offset = {}, 0
    for name, dims in tensors(shape):
        count = 1
        for size in dims:
            count *= size
        header[name] = {"dtype": "BF16", "shape": list(dims), "data_offsets": [offset, offset + 2 * count]}
        offset += 2 * count
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    # bf16 from 0.0156 to 0.031, of either sign; the same block again and again, at an odd stride.
    block = b"".join(
        struct.pack("<H", random.getrandbits(1) << 15 | 0x3C80 | random.getrandbits(7)) for _ in range(65521)
    )
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        while offset > 0:
            file.write(block[:offset])
            offset -= len(block)


def main() -> int:
    root = pathlib.Path(sys.argv[1])
    failed = False
    random.seed(0)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        words = (root / "traces/sft/data.jsonl").read_text()
        text = " ".join(json.loads(line)["messages"][-1]["content"] for line in words.splitlines())
        row = {"messages": [{"role": "user", "content": "Go on"}, {"role": "assistant", "content": text * 100}]}
        (folder / "rows.jsonl").write_text((json.dumps(row) + "\n") * 16)
        for size, shape in SHAPES.items():
            write_model(folder / size, root / "tiny-qwen2", shape)
            for tuner in ("lora", "full"):
                what = f"train {size} {tuner} bfloat16, {LENGTH} tokens"
                out = folder / f"{size}-{tuner}"
                command = [
                    str(root / "swift-host"), "run", "--plugin", "sft", "--model", str(folder / size),
                    "--template", "qwen", "--dataset", str(folder / "rows.jsonl"), "--output-dir", str(out),
                    "--tuner-type", tuner, "--torch-dtype", "bfloat16", "--max-length", str(LENGTH),
                    "--truncation-strategy", "right", "--max-steps", str(STEPS), "--logging-steps", "1",
                    "--device", "cuda", "--save-strategy", "no",
                ]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode != 0:
                    failed = True
                    print(f"{what} | failed | - | NO\n{done.stderr[-2000:]}", flush=True)
                    continue
                log = next(out.rglob("logging.jsonl")).read_text().splitlines()
                speeds = [json.loads(line).get("tokens_per_second") for line in log]
                speeds = [speed for speed in speeds if speed]
                print(f"{what} | {speeds[-1]:.0f} tokens/s | - | yes", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
