"""Writes `cases.json`: what transformers renders with the chat templates beside this file, and with single expressions.

    python generate.py

Made with transformers 5.19.0 and jinja2 3.1.6. Conversations are written as the rows of data files are, with `tool_call`
and `tool_response`; `as_transformers` gives them the form that chat templates know.
"""

import datetime
import json
from pathlib import Path

import jinja2
import transformers
import transformers.utils.chat_template_utils as chat_template_utils
from transformers import PreTrainedTokenizerFast

HERE = Path(__file__).parent
DATE = datetime.datetime(2025, 3, 4, 15, 6, 7)

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Says what the weather is: <sun> & \"rain\", 'snow' — in °C.",
            "parameters": {
                "type": "object",
                "properties": {
                    "location": {"type": "string", "description": "Zürich, 東京 or a path such as a\\b/c"},
                    "days": {"type": ["integer", "null"], "default": 3, "minimum": 1},
                    "exact": {"type": "boolean", "default": False},
                    "factor": {"type": "number", "default": 1.0, "maximum": 1e16},
                    "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": None},
                    "items": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["location"],
            },
        },
    },
    # As some rows have it, without what says that it is a function.
    {"name": "add", "description": "Adds.", "parameters": {"type": "object", "properties": {}}},
]


def call(name, **arguments):
    return {"role": "tool_call", "content": json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)}


def says(role, content):
    return {"role": role, "content": content}


SYSTEM = says("system", " Be brief. ")
QUESTION = says("user", " What's the weather in Zürich? ")
CALL = call("get_weather", location="Zürich \"<a>\" 'b' & \n\t\\", days=2, exact=True, factor=1e-7, unit=None, items=["x", {"y": [1.0, 2.5, 1e22]}])
RESULT = says("tool_response", '{"temperature": 21.5}')
ANSWER = says("assistant", "21.5 °C and sunny.\n")

CONVERSATIONS = {
    "question": {"messages": [QUESTION]},
    "rounds": {"messages": [SYSTEM, QUESTION, ANSWER, says("user", "And in Rome?"), says("assistant", " Warm.")]},
    "thoughts": {
        "messages": [
            QUESTION,
            says("assistant", "<think>\nold\n</think>\n\nSun."),
            says("user", "Sure?"),
            says("assistant", "<think>\nnew\n</think>\n\nYes."),
        ]
    },
    "tools_unused": {"messages": [QUESTION, ANSWER], "tools": TOOLS},
    "tool_call": {"messages": [SYSTEM, QUESTION, CALL, RESULT, ANSWER], "tools": TOOLS},
    "tool_call_last": {"messages": [QUESTION, CALL], "tools": TOOLS},
    "tool_call_after_words": {
        "messages": [QUESTION, says("assistant", "Let me look."), CALL, RESULT, ANSWER, QUESTION],
        "tools": TOOLS,
    },
    "tool_calls_at_once": {
        "messages": [
            QUESTION,
            call("add"),
            call("get_weather", location="Bern", days=0),
            says("tool_response", "3"),
            RESULT,
            ANSWER,
        ],
        "tools": TOOLS,
    },
    "tool_calls_in_a_row": {
        "messages": [SYSTEM, QUESTION, CALL, RESULT, call("add", a=-1, b=123456789012345678), says("tool_response", "3"), ANSWER],
        "tools": TOOLS,
    },
    "tool_result_last": {"messages": [QUESTION, CALL, RESULT], "tools": TOOLS},
}

KEYWORDS = [{}, {"enable_thinking": False}, {"tools_in_user_message": False, "date_string": "1 May"}]

# Each is a template. They see `messages` and `tools` of `tool_call`, and `VARIABLES`.
EXPRESSIONS = [line for line in (HERE / "expressions.txt").read_text().split("\n") if line]
VARIABLES = {
    "numbers": [3, 1, 2],
    "float": 1.0,
    "large": 1e16,
    "larger": 123456789012345680000.0,
    "small": 0.00001,
    "smaller": 1.5e-7,
    "zero": 0,
    "yes": True,
    "nothing": None,
    "empty": "",
    "text": "Hello <World> it's \"me\" & é\u2028\u007f\u0001\b",
    "path": "a\\b/c\nd",
    "record": {"b": 1, "a": {"items": [1, "x", None, True, 2.0], "keys": 2}, "é": "ü"},
    "records": [{"n": "b", "v": 2}, {"n": "a", "v": 1}, {"n": "b", "v": 3}],
    "nested": [[1, [2]], {}, [], {"x": {}}],
}


class FixedDate(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(DATE.year, DATE.month, DATE.day, DATE.hour, DATE.minute, DATE.second)


def as_transformers(messages):
    result = []
    for message in messages:
        if message["role"] == "tool_call":
            function = json.loads(message["content"])
            if not result or result[-1]["role"] != "assistant":
                result.append({"role": "assistant", "content": ""})
            result[-1].setdefault("tool_calls", []).append({"type": "function", "function": function})
        else:
            role = {"tool_response": "tool"}.get(message["role"], message["role"])
            result.append({**message, "role": role})
    return result


def wrapped(tools):
    return tools and [tool if "function" in tool else {"type": "function", "function": tool} for tool in tools]


def render(tokenizer, template, row, keywords):
    messages = as_transformers(row["messages"])
    try:
        text = tokenizer.apply_chat_template(
            messages,
            tools=wrapped(row.get("tools")),
            chat_template=template,
            tokenize=False,
            add_generation_prompt=messages[-1]["role"] != "assistant",
            **keywords,
        )
        return {"text": text}
    except Exception as error:
        # Only sentences of a template are compared; what jinja2 and Python say is their own.
        told = isinstance(error, jinja2.exceptions.TemplateError) and type(error) is jinja2.exceptions.TemplateError
        return {"error": str(error) if told else type(error).__name__}


def main():
    chat_template_utils.datetime = FixedDate
    tokenizer = PreTrainedTokenizerFast.from_pretrained(HERE.parent / "tokenizer")
    templates = {path.name: path.read_text() for path in sorted(HERE.glob("*.jinja"))}
    templates["../tokenizer/chat_template.jinja"] = tokenizer.chat_template
    cases = [
        {"template": template, "conversation": name, "chat_template_kwargs": keywords, **render(tokenizer, source, row, keywords)}
        for template, source in templates.items()
        for name, row in CONVERSATIONS.items()
        for keywords in KEYWORDS
    ]
    expressions = [
        {"source": source, **render(tokenizer, source, CONVERSATIONS["tool_call"], VARIABLES)} for source in EXPRESSIONS
    ]
    golden = {
        "made_with": {"transformers": transformers.__version__, "jinja2": jinja2.__version__},
        "now": DATE.isoformat(),
        "conversations": CONVERSATIONS,
        "variables": VARIABLES,
        "cases": cases,
        "expressions": expressions,
    }
    text = json.dumps(golden, ensure_ascii=False, indent=0)
    (HERE / "cases.json").write_text(text + "\n")


main()
