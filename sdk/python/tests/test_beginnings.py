"""The projects that `swift-host plugin new --lang python` begins with."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from swift_plugin import build

TEMPLATES = Path(__file__).parents[3] / "host/author/templates/python"
KINDS = [world.removesuffix("-plugin") for world in build.WORLDS.values()]


def module(kind: str) -> str:
    return "my_" + kind.replace("-", "_")


def class_name(kind: str) -> str:
    return "".join(word.capitalize() for word in module(kind).split("_"))


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a project of every kind, with its name in it."""
    folder = tmp_path_factory.mktemp("projects")
    for kind in KINDS:
        name = module(kind)
        replaced = {"PluginName": class_name(kind), "plugin_name": name, "plugin-name": name.replace("_", "-")}
        for source, made in ((f"{kind}.py", f"{name}.py"), (f"test_{kind}.py", f"test_{name}.py")):
            text = (TEMPLATES / source).read_text()
            for placeholder, value in replaced.items():
                text = text.replace(placeholder, value)
            (folder / made).write_text(text)
    return folder


def run(folder: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_there_are_no_others() -> None:
    files = {path.name for path in TEMPLATES.iterdir()}
    assert files == {name for kind in KINDS for name in (f"{kind}.py", f"test_{kind}.py")}


def test_every_project_passes_its_own_test(projects: Path) -> None:
    shown = run(projects, "pytest", "-v", "-p", "no:cacheprovider")
    passed = set(re.findall(r"^test_(\w+)\.py::\w+ PASSED", shown, re.MULTILINE))
    assert passed == {module(kind) for kind in KINDS}


def test_the_types_of_every_project_are_right(projects: Path) -> None:
    assert "no issues found" in run(projects, "mypy", "--strict", ".")


def test_all_projects_are_built(projects: Path) -> None:
    """As one plugin, which may be of several kinds, since a build takes many seconds."""
    imports = "".join(f"from {module(kind)} import {class_name(kind)}\n" for kind in KINDS)
    source = projects / "my_everything.py"
    source.write_text(f"{imports}\nclass MyEverything({', '.join(map(class_name, KINDS))}):\n    pass\n")
    plugin, _ = build.find(source)
    assert all(f"/{world}@" in build.world_of(plugin) for world in build.WORLDS.values())
    output = projects / "my_everything.wasm"
    build.build(source, output)
    # The first eight bytes of a component.
    assert output.read_bytes()[:8] == b"\0asm\x0d\0\x01\0"
