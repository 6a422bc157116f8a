"""What goes wrong is said, and leaves nothing behind."""

import concurrent.futures
import itertools
import random

import openai
import pytest
from conftest import GOLDEN, serving


def post(server, route="/v1/completions", **request):
    return server.client._client.post(server.url + route, **request)


@pytest.mark.parametrize(
    ("field", "value"),
    [("max_tokens", -1), ("n", 0), ("n", -2), ("temperature", "hot"), ("top_p", 0), ("stop", 3), ("prompt", {}),
     ("prompt", []), ("prompt", [1, "a"]), ("prompt", [99999]), ("logit_bias", {"x": 1}), ("top_k", -5),
     ("logprobs", -1), ("best_of", 0), ("stream_options", {"include_usage": True}), ("min_tokens", 99), ("seed", 1.5)],
)
def test_a_wrong_field_is_named(chat, field, value):
    response = post(chat, json={"prompt": "a", "max_tokens": 2, field: value})
    error = response.json()["error"]
    assert response.status_code == 400 and error["type"] == "invalid_request_error", response.text
    assert error["param"] == field and set(error) == {"message", "type", "param", "code"}


def test_requests_that_can_not_be_read(chat):
    assert post(chat, content=b"\xff\xfe").status_code == 400
    assert post(chat, content=b"{").status_code == 400
    assert post(chat, content=b"[" * 100_000).status_code == 400
    assert post(chat, content=b"x" * 10_000_000).status_code == 413
    assert post(chat, content=iter([b"x" * 1_000_000] * 10)).status_code == 413
    assert post(chat, route="/v1/nothing", json={}).status_code == 404
    assert post(chat, route="/health").status_code == 405
    assert post(chat, json={"prompt": "a " * 5000}).json()["error"]["code"] == "context_length_exceeded"
    with pytest.raises(openai.NotFoundError):
        chat.client.completions.create(model="unknown", prompt="a")


def test_fields_that_are_not_known_are_passed_over(chat):
    assert post(chat, json={"prompt": "a", "max_tokens": 1, "surprise": [1]}).status_code == 200


def test_whoever_hangs_up_gives_the_blocks_back():
    flags = ["--served-model-name", "tiny", "--max-num-seqs", 4]
    with serving(GOLDEN / "tiny-qwen2", *flags) as server:
        body = {"prompt": "a", "max_tokens": 100_000, "n": 64, "ignore_eos": True, "stream": True}
        with server.client._client.stream("POST", server.url + "/v1/completions", json=body) as response:
            # The response is closed when nothing iterates over it any more.
            lines = response.iter_lines()
            # More than one step's, since the metrics are those of the step before.
            assert len(list(itertools.islice(lines, 300))) == 300
            assert server.metric("swift_cache_blocks_free") < server.metric("swift_cache_blocks")
        server.wait_until_idle()


def test_many_clients_of_whom_some_leave_get_their_answers_and_lose_no_block():
    clients, requests = 64, 6
    # A fifth of what all of them could fill, so that sequences have to give blocks back.
    with serving(GOLDEN / "tiny-qwen2", "--max-model-len", 128, "--num-blocks", 96) as server:

        def ask(client):
            chance, tokens = random.Random(client), []
            for _ in range(requests):
                prompt = [chance.randrange(200) for _ in range(1 + chance.randrange(40))]
                length = 1 + chance.randrange(64)
                body = {"prompt": prompt, "max_tokens": length, "ignore_eos": True}
                if chance.randrange(4):
                    reply = post(server, json=body)
                    assert reply.status_code == 200, reply.text
                    tokens.append((reply.json()["usage"]["completion_tokens"], length))
                else:
                    body["stream"] = True
                    with server.client._client.stream("POST", server.url + "/v1/completions", json=body) as response:
                        list(itertools.islice(response.iter_lines(), chance.randrange(8)))
            return tokens

        with concurrent.futures.ThreadPoolExecutor(clients) as pool:
            for tokens in pool.map(ask, range(clients)):
                assert all(count == length for count, length in tokens)
        server.wait_until_idle()
        assert server.metric("swift_preemptions_total") > 0


def test_more_than_the_server_takes_is_refused():
    with serving(GOLDEN / "tiny-qwen2", "--max-concurrent-requests", 1) as server:
        body = {"prompt": "a", "max_tokens": 100_000, "n": 64, "ignore_eos": True, "stream": True}
        with server.client._client.stream("POST", server.url + "/v1/completions", json=body) as response:
            lines = response.iter_lines()
            assert next(lines)
            assert post(server, json={"prompt": "a"}).status_code == 429


def test_a_signal_under_load_lets_answers_end():
    with serving(GOLDEN / "tiny-qwen2", "--served-model-name", "tiny") as server:
        body = {"prompt": "a", "max_tokens": 200, "ignore_eos": True, "stream": True}

        def run(_):
            with server.client._client.stream("POST", server.url + "/v1/completions", json=body) as response:
                lines = response.iter_lines()
                first = next(lines)
                yield first
                yield [line for line in lines if line]

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            running = [run(i) for i in range(4)]
            assert all(line.startswith("data: ") for line in pool.map(next, running))
            server.process.terminate()
            for lines in pool.map(next, running):
                assert lines[-1] == "data: [DONE]" and '"finish_reason":"length"' in lines[-2]
        server.process.communicate(timeout=60)
        assert server.process.returncode == 0


def test_a_shutdown_that_takes_too_long_cancels():
    with serving(GOLDEN / "tiny-qwen2", "--shutdown-timeout", 0) as server:
        body = {"prompt": "a", "max_tokens": 100_000, "n": 64, "ignore_eos": True, "stream": True}
        with server.client._client.stream("POST", server.url + "/v1/completions", json=body) as response:
            lines = response.iter_lines()
            next(lines)
            server.process.terminate()
            rest = [line for line in lines if line]
        assert "shutting down" in rest[-2] and rest[-1] == "data: [DONE]"
        server.process.communicate(timeout=60)
        assert server.process.returncode == 0
