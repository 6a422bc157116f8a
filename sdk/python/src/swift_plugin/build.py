"""Makes components of plugins: `python -m swift_plugin.build my_loss.py -o my_loss.wasm`."""

from __future__ import annotations

import argparse
import importlib
import inspect
import shutil
import subprocess
import sys
import tempfile
from importlib import util
from pathlib import Path
from typing import Any

from . import (
    Callback,
    Dataset,
    Loss,
    LossScale,
    Metric,
    Model,
    Optimizer,
    Plugin,
    Reward,
    Sampler,
    Schedule,
    Template,
    ToolParser,
)
from .errors import Error

COMPONENTIZE = "componentize-py==0.25.1"
WIT = Path(__file__).parent / "wit"
CONTRACT = "0.1.0"
ENTRY = "plugin_entry"

# Modules of the sandbox besides those of the standard library.
_TAKEN = {ENTRY, "swift_plugin", "wit_world", "componentize_py_types", "poll_loop"}

WORLDS: dict[type[Plugin], str] = {
    Loss: "loss-plugin",
    Model: "model-plugin",
    Callback: "callback-plugin",
    Dataset: "dataset-plugin",
    Metric: "metric-plugin",
    Schedule: "schedule-plugin",
    Optimizer: "optimizer-plugin",
    Reward: "reward-plugin",
    Template: "template-plugin",
    LossScale: "loss-scale-plugin",
    Sampler: "sampler-plugin",
    ToolParser: "tool-parser-plugin",
}
"""The kinds with the world that each exports."""


def build(source: Path, output: Path, *, name: str | None = None, wit: Path = WIT) -> None:
    """Makes the component `output` of the plugin in the file `source`. The plugin is called as its file, or `name`."""
    _require_componentize()
    plugin, version = find(source)
    called = name or source.stem.replace("_", "-")
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder)
        # The package alone: nothing else that is installed belongs into the sandbox.
        package = Path(__file__).parent
        ignored = shutil.ignore_patterns("__pycache__", "testing", "build.py", "wit")
        shutil.copytree(package, library / package.name, ignore=ignored)
        entry = (
            "from swift_plugin._wasm import exports\n"
            f"import {source.stem}\n"
            f"globals().update(exports({source.stem}.{plugin.__name__}, {called!r}, {version!r}))\n"
        )
        (library / f"{ENTRY}.py").write_text(entry)
        # A world of its own, since a plugin may be of several kinds.
        contract = library / "wit"
        shutil.copytree(wit, contract / "deps" / "swift-plugin")
        (contract / "plugin.wit").write_text(world_of(plugin))
        paths = [part for path in (library, source.resolve().parent) for part in ("--python-path", str(path))]
        command = ["--quiet", "--wit-path", str(contract), "--world", "plugin"]
        command += ["componentize", *paths, "--output", str(output.resolve()), ENTRY]
        run = subprocess.run([sys.executable, "-c", _RUN, *command], capture_output=True, text=True)
    if run.returncode:
        raise Error(f"componentize-py could not build `{source}`:\n{run.stderr.strip() or run.stdout.strip()}")


# The package has no `__main__`; its script may not be on the path.
_RUN = "import sys; from componentize_py import script; sys.argv[0] = 'componentize-py'; script()"


def find(source: Path) -> tuple[type[Plugin], str]:
    """The plugin in a file and its version, which is `__version__` or 0.1.0."""
    if not source.stem.isidentifier():
        raise Error(f"`{source.name}` is no name for a plugin's file; use letters, digits and underscores")
    if source.stem in _TAKEN or source.stem in sys.stdlib_module_names:
        raise Error(f"`{source.name}` is no name for a plugin's file; a module of that name is in the sandbox already")
    module = _load(source)
    found = [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Plugin) and kind.__module__ == module.__name__
        if not inspect.isabstract(kind) and not kind.__name__.startswith("_")
    ]
    match found:
        case [plugin]:
            return plugin, str(getattr(module, "__version__", "0.1.0"))
        case []:
            raise Error(f"there is no plugin in `{source}`: no class made of `Loss` or another kind")
        case several:
            names = ", ".join(f"`{kind.__name__}`" for kind in several)
            raise Error(f"there are several plugins in `{source}`: {names}; a component has one")


def world_of(plugin: type[Plugin]) -> str:
    """The world of a plugin: those of all kinds that it is."""
    worlds = [world for kind, world in WORLDS.items() if issubclass(plugin, kind)]
    included = "".join(f"    include swift:plugin/{world}@{CONTRACT};\n" for world in worlds)
    return f"package swift:component;\n\nworld plugin {{\n{included}}}\n"


def _load(source: Path) -> Any:
    if not source.is_file():
        raise Error(f"there is no file `{source}`")
    sys.path.insert(0, str(source.resolve().parent))
    try:
        return importlib.import_module(source.stem)
    finally:
        sys.path.pop(0)


def _require_componentize() -> None:
    if util.find_spec("componentize_py") is None:
        raise Error(f"componentize-py is not installed; run: {sys.executable} -m pip install {COMPONENTIZE}")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="swift_plugin.build", description="Make a component of a plugin.")
    parser.add_argument("source", type=Path, help="the plugin's file")
    parser.add_argument("-o", "--output", type=Path, help="the component; beside the file by default")
    parser.add_argument("--name", help="what the user calls the plugin; as its file by default")
    parser.add_argument("--wit", type=Path, default=WIT, help="the folder of the contract, if not this package's")
    arguments = parser.parse_args()
    output: Path = arguments.output or arguments.source.with_suffix(".wasm")
    try:
        build(arguments.source, output, name=arguments.name, wit=arguments.wit)
    except Error as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{output.stat().st_size} bytes  {output}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
