"""The examples of the README run as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

import swift_plugin
from swift_plugin import build

SDK = Path(__file__).parent.parent


def test_the_first_loss_passes_its_tests_and_is_found_by_the_build(tmp_path: Path) -> None:
    loss, tests = re.findall(r"```python\n(.*?)```", (SDK / "README.md").read_text(), re.DOTALL)
    (tmp_path / "slic.py").write_text(loss)
    (tmp_path / "test_slic.py").write_text(tests)
    environment = {"PYTHONPATH": str(SDK / "src")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "2 passed" in run.stdout, run.stdout
    plugin, _ = build.find(tmp_path / "slic.py")
    assert issubclass(plugin, swift_plugin.Loss)


def test_the_table_names_every_kind() -> None:
    named = re.findall(r"^\| `(\w+)` \|", (SDK / "README.md").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(kind.__name__ for kind in build.WORLDS)
