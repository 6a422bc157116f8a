"""The chat in a terminal."""

import os
import pty
import subprocess

from conftest import EXECUTABLE, GOLDEN


def test_lines_typed_ahead_are_answered_one_after_the_other():
    terminal, end = pty.openpty()
    flags = ["--max-new-tokens", "1", "--temperature", "0"]
    command = [EXECUTABLE, "infer", "--model", str(GOLDEN / "tiny-qwen2"), *flags]
    chat = subprocess.Popen(command, stdin=end, stdout=end, stderr=end, env={**os.environ, "TERM": "xterm"})
    os.close(end)
    lines = ["one", "two", "/multi", "three", "four", "/end", "/exit"]
    os.write(terminal, "".join(line + "\n" for line in lines).encode())
    shown = b""
    try:
        while part := os.read(terminal, 4096):
            shown += part
    except OSError:
        # The other end is closed when the chat ends.
        pass
    assert chat.wait(timeout=60) == 0, shown
    # What was typed is echoed at once; then each line is read behind a prompt.
    read = [line for line in shown.decode().split("\n") if "<<< " in line or "... " in line]
    assert len(read) == len(lines) and all(line in seen for line, seen in zip(lines, read)), shown
