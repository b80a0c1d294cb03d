"""The files that a run reads are on record by their content: the same on another machine and path."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import fsspec

from experiments.records.input_files import changed_inputs, digest_inputs


def config_of(place: Path) -> dict[str, Any]:
    return {
        "data": {
            "type": "text",
            "train": [str(place / "texts" / "*.txt")],
            "dev": None,
            "name": "owner/name",
        },
        "vocabulary": {"path": str(place / "words.txt"), "min_count": 1},
        "encoder": {
            "type": "concat",
            "parts": {"glove": {"type": "glove", "path": str(place / "glove.txt")}},
        },
        "init_from": str(place / "run"),
    }


def write(place: Path) -> Path:
    for name in ("texts/a.txt", "texts/b.txt", "words.txt", "glove.txt", "run/model/config.json"):
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}\n")
    (place / "run" / "model" / "model.safetensors").write_bytes(b"weights")
    (place / "run" / "metrics.json").write_text("{}")
    return place


def test_files_are_named_by_their_keys_and_paths_have_no_part_in_them(tmp_path: Path) -> None:
    place, cache = write(tmp_path / "here"), tmp_path / "cache"
    found = digest_inputs(config_of(place), cache_path=cache)
    assert {key: list(files) for key, files in found.items()} == {
        "data.train": ["a.txt", "b.txt"],
        "vocabulary.path": ["words.txt"],
        "encoder.parts.glove.path": ["glove.txt"],
        "init_from": ["config.json", "model.safetensors"],
    }
    shutil.move(place, tmp_path / "there")
    assert digest_inputs(config_of(tmp_path / "there"), cache_path=cache) == found


def test_each_change_is_a_line(tmp_path: Path) -> None:
    place, cache = write(tmp_path), tmp_path / "cache"
    config = config_of(place)
    before = digest_inputs(config, cache_path=cache)
    assert list(changed_inputs(before, config, cache_path=cache)) == []
    (place / "texts" / "a.txt").write_text("other\n")
    (place / "texts" / "c.txt").write_text("new\n")
    (place / "texts" / "b.txt").unlink()
    (place / "glove.txt").unlink()
    (place / "run" / "model" / "model.safetensors").write_bytes(b"others!")
    (place / "run" / "model" / "warm_state.safetensors").write_bytes(b"of `embed`, later")
    globbed = f"(['{place / 'texts' / '*.txt'}'])"
    assert list(changed_inputs(before, config, cache_path=cache)) == [
        "data.train: a.txt is not the file that the run read: its content differs",
        f"data.train: b.txt, which the run read, is not there any more {globbed}",
        f"data.train: c.txt is new there; the run did not read it {globbed}",
        f"encoder.parts.glove.path: what the run read is not there any more ({place / 'glove.txt'})",
        "init_from: model.safetensors is not the file that the run read: its content differs",
    ]


def test_published_names_and_keys_of_other_meanings_have_no_files(tmp_path: Path) -> None:
    config = {"data": {"train": 3, "path": str(tmp_path)}, "init_from": "original"}
    assert digest_inputs(config, cache_path=tmp_path) == {}


def test_a_file_at_an_address_is_known_by_what_its_server_tells(tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    config = {"data": {"type": "text", "train": "memory://records/*.txt"}}
    memory.pipe_file("/records/a.txt", b"one\n")
    before = digest_inputs(config, cache_path=tmp_path)
    assert list(changed_inputs(before, config, cache_path=tmp_path)) == []
    memory.pipe_file("/records/a.txt", b"two\n")
    (line,) = changed_inputs(before, config, cache_path=tmp_path)
    assert line == "data.train: a.txt is not the file that the run read: its content differs"
    memory.rm("/records/a.txt")
    (line,) = changed_inputs(before, config, cache_path=tmp_path)
    assert line == "data.train: what the run read is not there any more (memory://records/*.txt)"
