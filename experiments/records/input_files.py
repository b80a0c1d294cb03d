"""The files that a run reads, by the config key that names them, and digests of their content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from elmo.errors import InputError
from elmo.io.model_directory import find_model
from tasks.sources.shared.data_nodes import data_nodes
from tasks.sources.shared.fingerprint import digest_files
from tasks.sources.shared.local_files import find_files
from tasks.sources.shared.remote_files import File

_SPLITS = ("train", "dev", "test")
_PARTS_OF_MODELS = (".json", ".safetensors", ".txt", ".hdf5")
_ADDED_LATER = "warm_state.safetensors"  # by `embed`, to a model that is the same


def digest_inputs(config: Mapping[str, Any], *, cache_path: Path) -> dict[str, dict[str, str]]:
    """The SHA-256 of each file that a run reads, by config key and file name; paths have no part in it.
    Of a file at an address, it is that of what the server tells, see `digest_files`.

    Files are those of `train`, `dev` and `test` of `data` and its parts, those that keys of the name `path`
    give, and those of the model that `init_from` names, unless it is a published name. What is not there is
    left out.

    Args:
        config: a training's values, as plain containers.
        cache_path: see `tasks.sources.shared.fingerprint.digest_files`.
    """
    digests = {}
    for key, paths in _inputs(config):
        names = [path.name for path in paths]
        unique = [  # files of a glob may have the same name
            path.name if names.count(path.name) == 1 else f"{number}: {path.name}"
            for number, path in enumerate(paths, start=1)
        ]
        digests[key] = digest_files(dict(zip(unique, paths, strict=True)), cache_path=cache_path)
    return digests


def changed_inputs(
    before: Mapping[str, Mapping[str, str]], config: Mapping[str, Any], *, cache_path: Path
) -> Iterator[str]:
    """A line for each file that a run has read and that is another one now, or gone.

    Args:
        before: the result of `digest_inputs` when the run began.
        config, cache_path: as there.
    """
    now = digest_inputs(config, cache_path=cache_path)
    for key, files in before.items():
        if key not in now:
            yield f"{key}: what the run read is not there any more ({_place(config, key)})"
            continue
        own = now[key]
        for name in [*files, *(name for name in own if name not in files)]:
            if name not in own:
                yield f"{key}: {name}, which the run read, is not there any more ({_place(config, key)})"
            elif name not in files:
                yield f"{key}: {name} is new there; the run did not read it ({_place(config, key)})"
            elif own[name] != files[name]:
                yield f"{key}: {name} is not the file that the run read: its content differs"


def _place(config: Mapping[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _inputs(config: Mapping[str, Any]) -> Iterator[tuple[str, Sequence[File]]]:
    for where, node in data_nodes(config.get("data")):
        for key, patterns in ((f"{where}.{split}", node.get(split)) for split in _SPLITS):
            if isinstance(patterns, (str, list)):
                try:
                    yield key, find_files(patterns, key=key)
                except (InputError, TypeError):  # gone, or a plug-in's key of another meaning
                    continue
    for key, path in _paths(config, ""):
        if path.is_file():
            yield key, [path]
    initial = config.get("init_from")
    if isinstance(initial, str) and (paths := _model_files(Path(initial))):
        yield "init_from", paths


def _paths(values: Mapping[str, Any], where: str) -> Iterator[tuple[str, Path]]:
    """What keys of the name `path` give."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _paths(value, f"{where}{key}.")
        elif key == "path" and isinstance(value, str):
            yield f"{where}{key}", Path(value).expanduser()


def _model_files(place: Path) -> list[Path]:
    """The files of a run's model, of a model directory or of official files; [] for a published name."""
    if not place.is_dir():
        return []
    try:
        directory = find_model(place)
    except InputError:
        directory = place  # of official files
    found = (path for path in directory.iterdir() if path.suffix in _PARTS_OF_MODELS)
    return sorted(path for path in found if path.name != _ADDED_LATER)
