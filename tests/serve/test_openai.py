"""What the official client of OpenAI sees."""

import json

import openai
import pytest
from conftest import GOLDEN, serving

MESSAGES = [{"role": "user", "content": "Say something"}]
TOOLS = [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}]


def test_chat_and_stream_agree(chat):
    options = dict(model="tiny", messages=MESSAGES, temperature=0, max_tokens=24, extra_body={"ignore_eos": True})
    whole = chat.client.chat.completions.create(**options)
    assert whole.object == "chat.completion" and whole.choices[0].finish_reason == "length"
    assert whole.choices[0].message.role == "assistant" and whole.usage.completion_tokens == 24
    chunks = list(chat.client.chat.completions.create(**options, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant" and chunks[0].choices[0].delta.content == ""
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == 24
    assert chunks[-2].choices[0].finish_reason == "length"
    assert len({chunk.id for chunk in chunks}) == 1


def test_events_are_as_openai_sends_them(chat):
    body = {"model": "tiny", "prompt": "a", "max_tokens": 3, "stream": True, "ignore_eos": True}
    response = chat.client._client.post(chat.url + "/v1/completions", json=body)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = response.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(json.loads(event.removeprefix("data: "))["object"] == "text_completion" for event in events[:-2])


def test_choices_seeds_and_stops(chat):
    def texts(**options):
        answer = chat.client.completions.create(model="tiny", prompt="Once", max_tokens=12, **options)
        return [choice.text for choice in answer.choices]

    first = texts(n=3, seed=1)
    assert len(first) == 3 and len(set(first)) > 1 and first == texts(n=3, seed=1) != texts(n=3, seed=2)
    assert len(texts(best_of=4, n=2, seed=1, extra_body={"ignore_eos": True})) == 2
    whole = texts(temperature=0, extra_body={"ignore_eos": True})[0]
    stop = whole[3:5]
    assert texts(temperature=0, stop=stop, extra_body={"ignore_eos": True}) == [whole[: whole.index(stop)]]
    body = {"prompt": [[1, 2, 3], [4, 5]], "max_tokens": 0, "return_token_ids": True}
    answer = chat.client._client.post(chat.url + "/v1/completions", json=body).json()
    assert [choice["prompt_token_ids"] for choice in answer["choices"]] == [[1, 2, 3], [4, 5]]


def test_beams(chat):
    def texts(n, **options):
        body = {"use_beam_search": True, "ignore_eos": True, **options}
        answer = chat.client.completions.create(model="tiny", prompt="Once", max_tokens=6, n=n, logprobs=0, extra_body=body)
        return [(choice.text, sum(choice.logprobs.token_logprobs)) for choice in answer.choices]

    found = texts(4)
    assert len(set(found)) == 4 and found == sorted(found, key=lambda pair: -pair[1])
    assert texts(1, best_of=4) == found[:1]
    messages = [{"role": "user", "content": "Once"}]
    body = {"use_beam_search": True, "early_stopping": "never", "length_penalty": 0.5}
    answer = chat.client.chat.completions.create(model="tiny", messages=messages, max_tokens=6, n=2, extra_body=body)
    assert [choice.index for choice in answer.choices] == [0, 1]
    with pytest.raises(openai.BadRequestError, match="`use_beam_search` cannot be streamed"):
        chat.client.completions.create(model="tiny", prompt="Once", stream=True, extra_body=body)
    with pytest.raises(openai.BadRequestError, match="`early_stopping` must be"):
        chat.client.completions.create(model="tiny", prompt="Once", extra_body={"early_stopping": "soon"})


def test_what_cannot_be_streamed_is_refused(chat):
    options = dict(model="tiny", messages=MESSAGES, stream=True)
    with pytest.raises(openai.BadRequestError, match="`prompt_logprobs` cannot be streamed"):
        chat.client.chat.completions.create(**options, extra_body={"prompt_logprobs": 1})


def test_logprobs(chat):
    answer = chat.client.completions.create(
        model="tiny", prompt=[5, 6, 7], max_tokens=4, logprobs=2, echo=True, temperature=0, extra_body={"ignore_eos": True}
    )
    logprobs = answer.choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.text_offset) == 7
    assert logprobs.token_logprobs[0] is None and all(value <= 0 for value in logprobs.token_logprobs[1:])
    assert all(max(top.values()) == value for top, value in zip(logprobs.top_logprobs[3:], logprobs.token_logprobs[3:]))
    answer = chat.client.chat.completions.create(
        model="tiny", messages=MESSAGES, max_tokens=3, logprobs=True, top_logprobs=4, extra_body={"prompt_logprobs": 1, "ignore_eos": True}
    )
    assert [len(entry.top_logprobs) for entry in answer.choices[0].logprobs.content] == [4, 4, 4]
    assert answer.model_extra["prompt_logprobs"][0] is None
    assert len(answer.model_extra["prompt_logprobs"]) == answer.usage.prompt_tokens


def test_an_answer_goes_on_with_the_last_message(chat):
    def prompt(messages, **options):
        body = {"messages": messages, "max_tokens": 1, "return_token_ids": True, **options}
        response = chat.client._client.post(chat.url + "/v1/chat/completions", json=body)
        assert response.status_code == 200, response.text
        return response.json()["prompt_token_ids"]

    begun = [*MESSAGES, {"role": "assistant", "content": "Once upon "}]
    whole, text = prompt(MESSAGES), lambda ids: post(chat, "/detokenize", tokens=ids)["prompt"]
    assert text(prompt(begun, continue_final_message=True)) == text(whole) + "Once upon "
    assert post(chat, "/tokenize", messages=MESSAGES)["tokens"] == whole
    empty = [*MESSAGES, {"role": "assistant", "content": " "}]
    for messages, options, reason in [
        (MESSAGES, {}, "`continue_final_message` needs"),
        (begun, {"add_generation_prompt": True}, "can't both be true"),
        (empty, {}, "does not show the last message"),
    ]:
        with pytest.raises(openai.BadRequestError, match=reason):
            chat.client.chat.completions.create(
                model="tiny", messages=messages, extra_body={"continue_final_message": True, **options})


def test_texts_become_tokens_and_back(chat):
    found = post(chat, "/tokenize", prompt="Once é", return_token_strs=True)
    assert found["count"] == len(found["tokens"]) == len(found["token_strs"]) and found["max_model_len"] > 0
    assert post(chat, "/detokenize", tokens=found["tokens"]) == {"prompt": "Once é"}


def post(chat, path, **body):
    response = chat.client._client.post(chat.url + path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


def test_a_stop_is_shown_if_it_is_to_be(chat):
    def text(**options):
        options = {"ignore_eos": True, **options}
        answer = chat.client.completions.create(model="tiny", prompt="Once", max_tokens=12, temperature=0, extra_body=options)
        return answer.choices[0].text

    whole = text()
    stop = whole[3:5]
    until = whole[: whole.index(stop)]
    assert text(stop=stop) == until and text(stop=stop, include_stop_str_in_output=True) == until + stop


def test_parts_of_characters_have_their_bytes(chat):
    ids = post(chat, "/tokenize", prompt="🙂", add_special_tokens=False)["tokens"]
    assert len(ids) > 1
    body = {"allowed_token_ids": ids[:1], "ignore_eos": True}
    messages = [{"role": "user", "content": "x"}]
    answer = chat.client.chat.completions.create(
        model="tiny", messages=messages, max_tokens=1, logprobs=True, extra_body=body)
    part = bytes(answer.choices[0].logprobs.content[0].bytes)
    assert part and "🙂".encode().startswith(part)
    answer = chat.client.completions.create(model="tiny", prompt=[ids], max_tokens=1, logprobs=1, echo=True)
    names = answer.choices[0].logprobs.tokens[: len(ids)]
    written = "".join(name.removeprefix("bytes:").replace("\\x", "") for name in names)
    assert bytes.fromhex(written).decode() == "🙂" and answer.choices[0].logprobs.text_offset[len(ids)] == 1


def test_tools_and_tool_results_are_taken(chat):
    called = {"role": "assistant", "content": None, "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}
    messages = [*MESSAGES, called, {"role": "tool", "tool_call_id": "1", "content": "3"}]
    answer = chat.client.chat.completions.create(model="tiny", messages=messages, tools=TOOLS, max_tokens=3)
    assert answer.usage.completion_tokens <= 3
    with pytest.raises(openai.BadRequestError, match="tool_choice"):
        chat.client.chat.completions.create(model="tiny", messages=messages, tools=TOOLS, tool_choice="sometimes")


def test_embeddings_have_the_length_one(chat):
    answer = chat.client.embeddings.create(model="tiny", input=["one", "two words"])
    assert len(answer.data) == 2 and len(answer.data[0].embedding) == 64
    for entry in answer.data:
        assert abs(sum(value * value for value in entry.embedding) - 1) < 1e-5
    plain = chat.client.embeddings.create(model="tiny", input="one", encoding_format="float")
    assert plain.data[0].embedding == pytest.approx(answer.data[0].embedding, abs=1e-5)


def test_models_and_adapters():
    base = GOLDEN / "traces/sft"
    with serving(GOLDEN / "tiny-qwen2", "--served-model-name", "tiny", "--adapters-dir", base) as server:
        def post(name, path):
            return server.client._client.post(server.url + "/v1/adapters", json={"name": name, "path": path}).status_code

        assert [model.id for model in server.client.models.list()] == ["tiny"]
        assert post("a", "../../tiny-qwen2") == 403 and post("a", "missing") == 403
        assert post("tiny", "init_adapter") == 400
        with pytest.raises(openai.NotFoundError, match="no model `a`"):
            server.client.completions.create(model="a", prompt="x")
        assert post("a", "init_adapter") == 200 and post("a", "init_adapter") == 400
        assert [model.id for model in server.client.models.list()] == ["tiny", "a"]
        assert server.client.completions.create(model="a", prompt="x", max_tokens=3).model == "a"
        remove = server.client._client.delete
        assert [remove(server.url + "/v1/adapters/a").status_code for _ in range(2)] == [200, 404]
    with serving(GOLDEN / "tiny-qwen2") as server:
        assert server.client._client.post(server.url + "/v1/adapters", json={"name": "a", "path": "init_adapter"}).status_code == 403


def test_a_key_is_asked_for():
    with serving(GOLDEN / "tiny-qwen2", key="very secret") as server:
        assert server.client.models.list().data
        stranger = server.client.with_options(api_key="guessed")
        with pytest.raises(openai.AuthenticationError):
            stranger.models.list()
        assert server.client._client.get(server.url + "/health").status_code == 200
        output = server.stop()
        assert not any("very secret" in text for text in output)


def test_a_template_of_a_plugin_makes_the_same_prompt(chat):
    body = {"messages": MESSAGES, "max_tokens": 1, "return_token_ids": True}
    own = chat.client._client.post(chat.url + "/v1/chat/completions", json=body).json()
    with serving(GOLDEN / "tiny-qwen2", "--template", "qwen") as server:
        plugin = server.client._client.post(server.url + "/v1/chat/completions", json=body).json()
    assert plugin["prompt_token_ids"] == own["prompt_token_ids"]
