"""Servers for the tests: the real executable, on a free port."""

import contextlib
import json
import os
import pathlib
import subprocess
import time

import openai
import pytest

ROOT = pathlib.Path(__file__).parents[2]
GOLDEN = ROOT / "tests/golden"
EXECUTABLE = os.environ.get("SWIFT_HOST", str(ROOT / "target/debug/swift-host"))


class Server:
    """A running `swift-host deploy`."""

    def __init__(self, model, *flags, key=None):
        command = [EXECUTABLE, "deploy", "--model", str(model), "--port", "0", *map(str, flags)]
        environment = {**os.environ, "NO_COLOR": "1"}
        if key:
            environment["SWIFT_API_KEY"] = key
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        line = self.process.stdout.readline()
        assert line.startswith("serving "), self.process.stderr.read()
        self.url = line.split(" at ")[1].strip()
        self.client = openai.OpenAI(base_url=self.url + "/v1", api_key=key or "none", max_retries=0)

    def metric(self, name):
        text = self.client._client.get(self.url + "/metrics").text
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(name + " "))

    def wait_until_idle(self):
        """Until no sequence has a block. What the metrics say is what held after the last step."""
        deadline = time.monotonic() + 30
        while self.metric("swift_cache_blocks_free") < self.metric("swift_cache_blocks"):
            assert time.monotonic() < deadline, "blocks are not given back"
        assert self.metric("swift_sequences_running") == 0

    def stop(self):
        self.process.terminate()
        return self.process.communicate(timeout=60)


@contextlib.contextmanager
def serving(model, *flags, key=None):
    server = Server(model, *flags, key=key)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.communicate()


def golden(model):
    """Prompt and greedy continuation of a model, computed by transformers."""
    data = json.loads((GOLDEN / "models" / model / "generate.json").read_text())
    return data["prompt_ids"], data["greedy_ids"]


@pytest.fixture(scope="session")
def chat():
    with serving(GOLDEN / "tiny-qwen2", "--served-model-name", "tiny", "--max-model-len", 512) as server:
        yield server
