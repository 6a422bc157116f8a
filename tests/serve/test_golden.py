"""Greedy continuations through HTTP are those of transformers, token for token."""

import concurrent.futures

import pytest
from conftest import GOLDEN, golden, serving

MODELS = ["llama", "llama_tied", "mistral", "qwen2", "qwen3"]


def complete(server, prompt, count):
    answer = server.client.completions.create(model=server.model, prompt=prompt, temperature=0, max_tokens=count)
    return answer.choices[0].model_extra["token_ids"], answer


def check(model, *flags):
    prompt, expected = golden(model)
    with serving(GOLDEN / "models" / model, *flags) as server:
        server.model = model
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = pool.map(lambda _: complete(server, prompt, len(expected)), range(8))
            for tokens, answer in answers:
                assert tokens == expected
                assert answer.choices[0].finish_reason == "length"
                assert answer.usage.completion_tokens == len(expected)
        server.wait_until_idle()
        return server.metric("swift_preemptions_total"), server.metric("swift_cached_tokens_total")


@pytest.mark.parametrize("model", MODELS)
def test_continuations(model):
    check(model)


@pytest.mark.parametrize("model", MODELS)
def test_continuations_with_few_blocks_small_steps_and_shared_beginnings(model):
    prompt, expected = golden(model)
    alone = -(-(len(prompt) + len(expected)) // 4)
    preemptions, cached = check(
        model, "--max-num-batched-tokens", 16, "--block-size", 4, "--num-blocks", alone + 4
    )
    assert preemptions > 0 and cached > 0
