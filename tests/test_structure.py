"""The rooms of the code: their size, what imports what, and the files that a batch passes."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from tiny_runs import figures_of, write_data

from experiments.training.step import TrainingStep
from tasks.task import Batches

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("elmo", "tasks", "experiments")
MOST_FILES, MOST_LINES = 14, 400
# Each room may import from the rooms before it. A module that lies outside of all but `elmo` is of every
# room's use, but for the package's face, which shows what lies in the last ones.
ROOMS = ("elmo", "elmo.text", "elmo.bilm", "elmo.io", "elmo.inference", "tasks", "experiments")
KERNELS = ROOT / "elmo" / "bilm" / "kernels"
MOST_PASSED = {"language_model, sentences, adaptive": 18, "text_classification, frozen biLM": 17}


def folders(*names: str) -> Iterator[Path]:
    """The folders of Python files below those of the names, themselves included."""
    for name in names:
        for path in [ROOT / name, *(ROOT / name).rglob("*")]:
            if path.is_dir() and any(path.glob("*.py")):
                yield path


def test_no_folder_has_more_files_than_a_reader_can_survey() -> None:
    counts = {
        str(path.relative_to(ROOT)): len(
            [file for file in path.glob("*.py") if file.name not in ("__init__.py", "conftest.py")]
        )
        for path in folders(*PACKAGES, "tests")
    }
    print("\nfiles of the largest folders:", dict(sorted(counts.items(), key=lambda item: -item[1])[:5]))
    assert {name: count for name, count in counts.items() if count > MOST_FILES} == {}


def test_no_file_of_the_code_is_long() -> None:
    counts = {
        str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines())
        for path in folders(*PACKAGES)
        for file in path.glob("*.py")
    }
    print("\nlines of the longest files:", dict(sorted(counts.items(), key=lambda item: -item[1])[:5]))
    assert {name: count for name, count in counts.items() if count > MOST_LINES} == {}


def test_the_tests_mirror_the_rooms() -> None:
    mirrored = [path.relative_to(ROOT / "tests") for path in folders(*(f"tests/{name}" for name in PACKAGES))]
    assert mirrored != []
    assert [str(path) for path in mirrored if not (ROOT / path).is_dir()] == []


def modules() -> dict[str, Path]:
    """The file of every module of the code, by the module's name."""
    found = {}
    for folder in folders(*PACKAGES):
        for file in folder.glob("*.py"):
            parts = file.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports(file: Path, names: set[str]) -> set[str]:
    """The modules that a file imports: at its top, later, and for type checkers; by discovery, too.

    In a file that calls `import_module` or `discover`, each string that is the name of one of our modules
    counts as imported by it, with `discover` all modules below as well. That an import runs the `__init__` of
    the parent packages is left out.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree))
    calls = {_called(node) for node in nodes if isinstance(node, ast.Call)}
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None and not node.level, f"{file}: a relative import"
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in names else node.module for name in whole}
        elif isinstance(node, ast.Constant) and node.value in names:
            if "discover" in calls:
                found |= {name for name in names if f"{name}.".startswith(f"{node.value}.")}
            elif "import_module" in calls:
                found.add(node.value)
    return found & names


def _called(call: ast.Call) -> str:
    """The last name of what is called, such as `discover` in `REGISTRY.discover(...)`."""
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def graph() -> dict[str, set[str]]:
    files = modules()
    return {name: imports(file, set(files)) - {name} for name, file in files.items()}


def circle(edges: dict[str, set[str]]) -> list[str]:
    """The modules of a circle of imports, each importing the next; [] if there is none."""
    path: list[str] = []
    done: set[str] = set()

    def visit(name: str) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        path.append(name)
        for other in sorted(edges[name]):
            found = visit(other)
            if found:
                return found
        done.add(path.pop())
        return []

    return next((found for name in sorted(edges) if (found := visit(name))), [])


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import a.b\n", {"a.b"}),
        ("from a import b, unknown\nfrom a.c import name\n", {"a", "a.b", "a.c"}),
        ("def late():\n    from a import c\n", {"a.c"}),
        ("if TYPE_CHECKING:\n    from a.b import name\n", {"a.b"}),
        ("HOME = {'name': 'a.b'}\nimport_module(HOME['name'])\n", {"a.b"}),
        ("REGISTRY.discover('a')\n", {"a", "a.b", "a.c"}),
        ("import numpy\nWORD = 'a.b'\n", set()),
    ],
)
def test_an_import_is_seen_wherever_it_stands(tmp_path: Path, code: str, expected: set[str]) -> None:
    (tmp_path / "module.py").write_text(code)
    assert imports(tmp_path / "module.py", {"a", "a.b", "a.c", "d"}) == expected


def test_a_circle_is_found_and_told() -> None:
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b"}}) == ["b", "c", "d", "b"]


def test_no_modules_import_each_other_in_a_circle() -> None:
    edges = graph()
    print(f"\n{len(edges)} modules, {sum(map(len, edges.values()))} imports")
    assert " -> ".join(circle(edges)) == ""


def room_of(module: str) -> int:
    return max(i for i, room in enumerate(ROOMS) if f"{module}.".startswith(f"{room}."))


def test_imports_point_one_way_between_the_rooms() -> None:
    upward = [
        f"{name} -> {other}"
        for name, others in sorted(graph().items())
        for other in sorted(others)
        if name != "elmo" and room_of(other) > room_of(name)
    ]
    assert upward == []


@pytest.mark.parametrize("name", MOST_PASSED)
def test_a_batch_passes_few_files_behind_the_trainer(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[str] = []
    take = TrainingStep.take

    def note(frame: FrameType, event: str, argument: Any) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and any(file.is_relative_to(ROOT / package) for package in ("elmo", "tasks")):
            is_kernel = file.is_relative_to(KERNELS)  # behind the CNN and the LSTM; nobody has to follow them
            name = str((KERNELS if is_kernel else file).relative_to(ROOT))
            if name not in passed:
                passed.append(name)

    def traced(self: TrainingStep, number: int, batches: Batches) -> int:
        if number > 1:
            return take(self, number, batches)
        before = sys.getprofile()
        sys.setprofile(note)
        try:
            return take(self, number, batches)
        finally:
            sys.setprofile(before)

    monkeypatch.setattr(TrainingStep, "take", traced)
    figures_of(name, tmp_path, write_data(tmp_path))
    print(
        f"\n{name}: a batch passes {len(passed)} files of at most {MOST_PASSED[name]}:", *passed, sep="\n  "
    )
    assert 1 < len(passed) <= MOST_PASSED[name]
