"""Answers greedily with and without `--cuda-graphs`, compares, and measures tokens per second of one answer at a time."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import speed

# What the executable says where steps could not be recorded.
REFUSED = "steps are not repeated"
# Of answers that are compared, and of one whose speed is measured.
TOKENS, MEASURED = 48, 512
QUESTIONS = 11


def answers(root, model, questions, more, folder) -> tuple[list[str], float]:
    """The answers to some questions, and tokens per second."""
    rows = [{"messages": [{"role": "user", "content": question}]} for question in questions]
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = folder / "answers.jsonl"
    out.unlink(missing_ok=True)
    command = [
        str(root / "swift-host"), "infer", "--model", str(model), "--template", "qwen", "--temperature", "0",
        "--val-dataset", str(folder / "questions.jsonl"), "--result-path", str(out), *more,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0 or REFUSED in done.stderr:
        raise RuntimeError(done.stderr[-2000:])
    found = re.search(r"([\d.]+) tokens/s", done.stdout + done.stderr)
    return [json.loads(line)["response"] for line in out.read_text().splitlines()], float(found.group(1))


def compared(root, folder, device) -> str:
    """How many answers of a small model differ, some of which end before others."""
    questions = [f"Say {number} " + "word " * number for number in range(QUESTIONS)]
    model = root / "tiny-qwen2"
    more = ["--device", device, "--tf32", "false", "--dtype", "float32", "--max-new-tokens", str(TOKENS)]
    plain, _ = answers(root, model, questions, more, folder)
    repeated, _ = answers(root, model, questions, [*more, "--cuda-graphs"], folder)
    differ = sum(a != b for a, b in zip(plain, repeated, strict=True))
    print(f"answers with CUDA graphs | {differ} of {len(plain)} differ | 0 | {'NO' if differ else 'yes'}", flush=True)
    return "differ" if differ else ""


def measured(root, folder, device) -> str:
    model = folder / "model"
    speed.write_model(model, root / "tiny-qwen2", speed.SHAPES["0.5B"])
    failed, texts = "", []
    for name, more in [("", []), (" with CUDA graphs", ["--cuda-graphs"])]:
        more = ["--device", device, "--dtype", "bfloat16", "--max-new-tokens", str(MEASURED), *more]
        got, tokens = answers(root, model, ["Go on"], more, folder)
        texts.append(got)
        print(f"answer 0.5B bfloat16{name} | {tokens:.1f} tokens/s | - | yes", flush=True)
    if texts[0] != texts[1]:
        failed = "differ"
        print("answer 0.5B bfloat16 with CUDA graphs | another one | the same | NO", flush=True)
    return failed


def main() -> int:
    root = pathlib.Path(sys.argv[1]).resolve()
    device = sys.argv[2] if len(sys.argv) > 2 else "cuda"
    checks = [compared] if "quick" in sys.argv else [compared, measured]
    failed = False
    for check in checks:
        with tempfile.TemporaryDirectory() as folder:
            try:
                failed |= bool(check(root, pathlib.Path(folder), device))
            except RuntimeError as error:
                failed = True
                print(f"CUDA graphs, {check.__name__} | failed | - | NO\n{error}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
