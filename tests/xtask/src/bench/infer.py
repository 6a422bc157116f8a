"""The peer of `cargo xtask bench infer`: MODEL PRECISION THREADS, then lines BATCH PROMPT NEW on the standard input.

Each line is answered with the seconds that it takes to read BATCH prompts of PROMPT random tokens each and to continue each by
NEW tokens, always the most likely. The first answer is `ready`, or `missing` and what is not installed.
"""

import sys
import time

folder, precision, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])


def generator():
    try:
        import torch
        import transformers

        if precision == "4bit":
            import bitsandbytes  # noqa: F401
    except ImportError as error:
        print("missing", error.name, flush=True)
        sys.exit()
    torch.set_num_threads(threads)
    options = {"dtype": torch.float32 if precision == "f32" else torch.bfloat16}
    if precision == "4bit":
        options["device_map"] = {"": "cpu"}
        options["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, **options).eval()
    model.generation_config.eos_token_id = None

    def generate(prompts, new):
        ids = torch.tensor(prompts)
        with torch.inference_mode():
            got = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, do_sample=False, pad_token_id=0
            )
        assert got.shape[1] == ids.shape[1] + new

    return generate


generate = generator()
print("ready", flush=True)
seed = 1
for line in sys.stdin:
    count, length, new = map(int, line.split())
    prompts = []
    for _ in range(count):
        row = []
        for _ in range(length):
            seed = (seed * 1103515245 + 12345) % 2**31
            row.append(seed // 65536 % 256)
        prompts.append(row)
    started = time.perf_counter()
    generate(prompts, new)
    print(time.perf_counter() - started, flush=True)
