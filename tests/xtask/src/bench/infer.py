"""The peers of `cargo xtask bench infer`: MODEL PRECISION PROGRAM THREADS, then lines BATCH PROMPT NEW on the standard input.

Each line is answered with the seconds that it takes to read BATCH prompts of PROMPT random tokens each and to continue each by
NEW tokens, always the most likely. The first answer is `ready`, or `missing` and what is not installed.
"""

import json
import os
import sys
import time

folder, precision, program, threads = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])


def missing(error):
    print("missing", error.name, flush=True)
    sys.exit()


def transformers_generator():
    try:
        import torch
        import transformers

        if precision == "4bit":
            import bitsandbytes  # noqa: F401
    except ImportError as error:
        missing(error)
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


def write_gguf(path):
    """The model of the folder for llama.cpp, without a vocabulary: matrices as `precision` says, vectors in `f32`."""
    import gguf
    import numpy
    from safetensors import safe_open

    config = json.load(open(os.path.join(folder, "config.json")))
    writer = gguf.GGUFWriter(path + ".partial", "qwen2")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("none")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, config["num_hidden_layers"])
    kinds = gguf.GGMLQuantizationType
    whole = kinds.F32 if precision == "f32" else kinds.BF16
    with safe_open(os.path.join(folder, "model.safetensors"), "numpy") as tensors:
        for name in tensors.keys():
            tensor = tensors.get_tensor(name).astype(numpy.float32)
            short = names.get_name(name, try_suffixes=(".weight", ".bias"))
            # The embedding is the head too, and is kept as ours is.
            matrices = kinds.Q4_0 if precision == "4bit" and "embed" not in name else whole
            kind = kinds.F32 if tensor.ndim == 1 else matrices
            writer.add_tensor(short, gguf.quants.quantize(tensor, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.rename(path + ".partial", path)


def llama_generator():
    try:
        import gguf  # noqa: F401
        import llama_cpp as llama
        import numpy
    except ImportError as error:
        missing(error)
    path = os.path.join(folder, f"{precision}.gguf")
    if not os.path.exists(path):
        write_gguf(path)
    llama.llama_log_set(llama.llama_log_callback(lambda *_: None), None)
    llama.llama_backend_init()
    options = llama.llama_model_default_params()
    options.n_gpu_layers = 0
    model = llama.llama_model_load_from_file(path.encode(), options)
    vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))

    def generate(prompts, new):
        count, length = len(prompts), len(prompts[0])
        options = llama.llama_context_default_params()
        options.n_ctx = count * (length + new)
        options.n_batch = count * length
        options.n_seq_max = count
        options.n_threads = options.n_threads_batch = threads
        context = llama.llama_init_from_model(model, options)
        batch = llama.llama_batch_init(count * length, 0, 1)

        def step(tokens, first):
            batch.n_tokens = sum(map(len, tokens))
            place, ends = 0, []
            for sequence, ids in enumerate(tokens):
                for offset, token in enumerate(ids):
                    batch.token[place] = token
                    batch.pos[place] = first + offset
                    batch.n_seq_id[place] = 1
                    batch.seq_id[place][0] = sequence
                    batch.logits[place] = offset + 1 == len(ids)
                    place += 1
                ends.append(place - 1)
            if llama.llama_decode(context, batch) != 0:
                sys.exit("llama_decode failed")
            logits = (llama.llama_get_logits_ith(context, end) for end in ends)
            return [[int(numpy.ctypeslib.as_array(row, (vocabulary,)).argmax())] for row in logits]

        tokens = step(prompts, 0)
        for position in range(length, length + new - 1):
            tokens = step(tokens, position)
        llama.llama_batch_free(batch)
        llama.llama_free(context)

    return generate


generate = {"transformers": transformers_generator, "llama.cpp": llama_generator}[program]()
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
