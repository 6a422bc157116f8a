"""Answers have the form that was asked for, of a model that knows nothing."""

import json

import openai
import pytest
from conftest import GOLDEN, serving

MESSAGES = [{"role": "user", "content": "Say something"}]
SCHEMA = {
    "type": "object",
    "properties": {
        "color": {"enum": ["red", "green", "blue"]},
        "count": {"type": "integer", "minimum": 0, "maximum": 9},
        "flags": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
    },
    "required": ["color", "count", "flags"],
    "additionalProperties": False,
}
TOOLS = [
    {"type": "function", "function": {"name": "paint", "parameters": SCHEMA}},
    {"type": "function", "function": {"name": "stop", "parameters": {"type": "object", "additionalProperties": False}}},
]


def check(value):
    assert set(value) == {"color", "count", "flags"}
    assert value["color"] in ("red", "green", "blue")
    assert type(value["count"]) is int and 0 <= value["count"] <= 9
    assert 1 <= len(value["flags"]) <= 3 and all(type(flag) is bool for flag in value["flags"])


def checked(choices, text=lambda choice: choice.message.content):
    """Checks the choices that came to an end; gives how many these are."""
    ended = [choice for choice in choices if choice.finish_reason == "stop"]
    assert all(choice.finish_reason in ("stop", "length") for choice in choices)
    for choice in ended:
        check(json.loads(text(choice)))
    return len(ended)


def response_format(**described):
    return {"type": "json_schema", "json_schema": {"name": "paint", "schema": SCHEMA, **described}}


@pytest.mark.parametrize("temperature", [0, 1])
def test_json_of_a_schema(chat, temperature):
    answer = chat.client.chat.completions.create(
        model="tiny", messages=MESSAGES, response_format=response_format(strict=True), n=8, seed=3, max_tokens=300,
        temperature=temperature, extra_body={"min_tokens": 2},
    )
    assert checked(answer.choices) > 0


def test_a_stream_has_the_form_too(chat):
    chunks = chat.client.chat.completions.create(
        model="tiny", messages=MESSAGES, response_format=response_format(), n=8, stream=True, seed=3, max_tokens=300)
    texts, ended = {}, set()
    for chunk in chunks:
        [choice] = chunk.choices
        texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
        ended |= {choice.index} if choice.finish_reason == "stop" else set()
    assert ended
    for index in ended:
        check(json.loads(texts[index]))


def test_any_json_object(chat):
    answer = chat.client.chat.completions.create(
        model="tiny", messages=MESSAGES, response_format={"type": "json_object"}, n=16, seed=1, max_tokens=300)
    ended = [choice for choice in answer.choices if choice.finish_reason == "stop"]
    assert ended and all(isinstance(json.loads(choice.message.content), dict) for choice in ended)


def complete(server, **form):
    answer = server.client.completions.create(
        model="tiny", prompt="Once", n=4, seed=1, max_tokens=200, extra_body={"ignore_eos": True, **form})
    assert all(choice.finish_reason == "stop" for choice in answer.choices)
    return [choice.text for choice in answer.choices]


def test_the_fields_of_vllm(chat):
    ways = (lambda name, value: {f"guided_{name}": value}, lambda name, value: {"structured_outputs": {name: value}})
    for form in ways:
        for text in complete(chat, **form("choice", ["yes", "no"])):
            assert text in ("yes", "no")
        for text in complete(chat, **form("regex", "[a-f]{3}-[0-9]{2}")):
            assert len(text) == 6 and text[3] == "-" and text[4:].isdigit() and set(text[:3]) <= set("abcdef")
        for text in complete(chat, **form("grammar", 'start: "a" number\nnumber: /[0-9]{2}/')):
            assert text[0] == "a" and len(text) == 3 and text[1:].isdigit()
        answer = chat.client.completions.create(
            model="tiny", prompt="Once", n=8, seed=1, max_tokens=300, extra_body=form("json", SCHEMA))
        assert checked(answer.choices, lambda choice: choice.text) > 0


def test_forms_hold_where_sequences_give_way():
    flags = ["--served-model-name", "tiny", "--block-size", 4, "--num-blocks", 70]
    with serving(GOLDEN / "tiny-qwen2", *flags, "--max-model-len", 200) as server:
        answer = server.client.completions.create(
            model="tiny", prompt="Once", n=8, seed=2, max_tokens=150, extra_body={"guided_json": SCHEMA})
        assert checked(answer.choices, lambda choice: choice.text) > 0
        assert server.metric("swift_preemptions_total") > 0
        server.wait_until_idle()


def test_a_call_of_some_tool_is_forced(chat):
    answer = chat.client.chat.completions.create(
        model="tiny", messages=MESSAGES, tools=TOOLS, tool_choice="required", parallel_tool_calls=False, n=8, seed=1,
        max_tokens=300)
    ended = [choice for choice in answer.choices if choice.finish_reason != "length"]
    assert ended
    for choice in ended:
        assert choice.finish_reason == "tool_calls" and choice.message.content is None
        [call] = choice.message.tool_calls
        arguments = json.loads(call.function.arguments)
        if call.function.name == "paint":
            check(arguments)
        else:
            assert call.function.name == "stop" and arguments == {}


def test_a_call_of_one_tool_is_forced(chat):
    choice = {"type": "function", "function": {"name": "paint"}}
    options = dict(model="tiny", messages=MESSAGES, tools=TOOLS, tool_choice=choice, n=8, seed=1, max_tokens=400)
    answer = chat.client.chat.completions.create(**options)
    ended = [choice for choice in answer.choices if choice.finish_reason == "stop"]
    assert ended
    for choice in ended:
        [call] = choice.message.tool_calls
        assert call.function.name == "paint"
        check(json.loads(call.function.arguments))
    streamed, finished = {}, {}
    for chunk in chat.client.chat.completions.create(**options, stream=True):
        [choice] = chunk.choices
        streamed.setdefault(choice.index, []).extend(choice.delta.tool_calls or [])
        finished[choice.index] = choice.finish_reason
    for choice in ended:
        [call], [expected] = streamed[choice.index], choice.message.tool_calls
        assert (call.function.name, call.function.arguments) == ("paint", expected.function.arguments)
        assert finished[choice.index] == "stop"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "nothing"}}}}, "response_format"),
        ({"guided_regex": "("}, "guided_regex"),
        ({"guided_regex": "(" * 100_000}, "guided_regex"),
        ({"guided_grammar": "start: missing"}, "guided_grammar"),
        ({"guided_choice": []}, "guided_choice"),
        ({"guided_choice": ["x" * 300_000]}, "guided_choice"),
        ({"guided_choice": ["x"], "guided_regex": "x"}, "guided_choice"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": "required", "guided_choice": ["x"]}, "tool_choice"),
    ],
)
def test_forms_that_can_not_be_followed_are_named(chat, fields, param):
    with pytest.raises(openai.BadRequestError) as caught:
        chat.client.chat.completions.create(model="tiny", messages=MESSAGES, max_tokens=4, extra_body=fields)
    assert caught.value.param == param and caught.value.type == "invalid_request_error"


def test_a_model_without_a_tokeniser_takes_no_form():
    with serving(GOLDEN / "models" / "llama", "--served-model-name", "tiny") as server:
        with pytest.raises(openai.BadRequestError, match="tokeniser"):
            server.client.completions.create(model="tiny", prompt=[5, 6], extra_body={"guided_regex": "a"})
