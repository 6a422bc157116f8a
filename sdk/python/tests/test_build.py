"""Making components."""

import subprocess
import sys
from pathlib import Path

import pytest

from swift_plugin import Error, build

EXAMPLES = Path(__file__).parent.parent / "examples"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_plugin_is_found_with_its_version_and_its_worlds(tmp_path: Path) -> None:
    source = write(
        tmp_path,
        "two_kinds.py",
        "from swift_plugin import *\nimport swift_plugin\n__version__ = '2.0'\n"
        "class _Base(swift_plugin.Schedule): pass\n"
        "class Both(_Base, swift_plugin.Reward):\n"
        "    def factor(self, step, max_steps): return 1.0\n"
        "    def score(self, completion): return 1.0\n",
    )
    plugin, version = build.find(source)
    assert (plugin.__name__, version) == ("Both", "2.0")
    assert build.world_of(plugin) == (
        "package swift:component;\n\nworld plugin {\n"
        "    include swift:plugin/schedule-plugin@0.1.0;\n"
        "    include swift:plugin/reward-plugin@0.1.0;\n}\n"
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("empty_file.py", "", "there is no plugin in"),
        ("bad-name.py", "", "`bad-name.py` is no name for a plugin's file; use letters"),
        ("random.py", "", "`random.py` is no name for a plugin's file; a module of that name"),
        (
            "several.py",
            "from swift_plugin import Schedule\n"
            "class A(Schedule):\n    def factor(self, step, max_steps): return 1.0\n"
            "class B(A): pass\n",
            "there are several plugins in .*: `A`, `B`; a component has one",
        ),
    ],
)
def test_a_file_without_one_plugin_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(Error, match=message):
        build.find(write(tmp_path, name, text))


def _nothing(name: str) -> None:
    """What `find_spec` gives for a package that is not installed."""


def test_a_missing_tool_is_named_with_the_command_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swift_plugin.build.util.find_spec", _nothing)
    with pytest.raises(Error) as raised:
        build.build(EXAMPLES / "focal.py", tmp_path / "focal.wasm")
    command = f"{sys.executable} -m pip install {build.COMPONENTIZE}"
    assert str(raised.value) == f"componentize-py is not installed; run: {command}"


def test_a_component_is_made_by_the_command(tmp_path: Path) -> None:
    output = tmp_path / "focal.wasm"
    command = [sys.executable, "-m", "swift_plugin.build", "focal.py", "-o", str(output)]
    environment = {"PYTHONPATH": str(Path(build.__file__).parent.parent)}
    run = subprocess.run(command, cwd=EXAMPLES, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    # The first eight bytes of a component.
    assert output.read_bytes()[:8] == b"\0asm\x0d\0\x01\0"


def test_a_mistake_in_a_plugin_ends_the_build_with_its_traceback(tmp_path: Path) -> None:
    source = write(
        tmp_path,
        "only_there.py",
        "import sys\nfrom swift_plugin import Schedule\n"
        "if sys.platform == 'wasi': raise ValueError('not here')\n"
        "class Flat(Schedule):\n    def factor(self, step, max_steps): return 1.0\n",
    )
    with pytest.raises(Error, match="(?s)could not build.*not here"):
        build.build(source, tmp_path / "only_there.wasm")
