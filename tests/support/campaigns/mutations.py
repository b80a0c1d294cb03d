"""Mutations of files: of any bytes, and of the values of JSON and YAML documents."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

STRANGE_VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1,
    10**6,
    10**12,
    -(10**18),
    10**400,
    0.5,
    1e300,
    float("inf"),
    float("nan"),
    "",
    "a",
    "..",
    "../../../etc/passwd",
    "/etc/passwd",
    "a\0b",
    "\ud800",
    "x" * 100_000,
    [],
    {},
    [None],
    [[]],
    {"type": None},
    {"type": []},
    {"$": "tensor"},
    {"$": "dict", "items": 3},
    list(range(1000)),
]
STRANGE_BYTES = [
    b"\0",
    b"\xff",
    b"\n",
    b"\r",
    b"{",
    b"[",
    b'"',
    b",",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"9" * 5000,
]
DEPTH = 10_000


def mutate_bytes(data: bytes, generator: random.Random) -> bytes:
    """Some bits flipped, a piece removed, repeated, replaced or moved, or the end cut off."""
    for _ in range(generator.choice([1, 1, 1, 2, 4, 16])):
        data = generator.choice(_BYTE_MUTATIONS)(data, generator)
    return data


def mutate_json(text: bytes, generator: random.Random) -> bytes:
    """A document with other values, keys or nesting."""
    if generator.random() < 0.02:
        return b"[" * DEPTH + b"]" * DEPTH
    changed = _mutate_tree(json.loads(text), generator)
    return json.dumps(changed, ensure_ascii=generator.random() < 0.9).encode("utf-8", "surrogatepass")


def mutate_json_lines(text: bytes, generator: random.Random) -> bytes:
    """JSON lines, one of them with other values, keys or nesting."""
    lines = text.splitlines(keepends=True)
    index = generator.randrange(len(lines))
    lines[index] = mutate_json(lines[index], generator) + b"\n"
    return b"".join(lines)


def mutate_yaml(text: bytes, generator: random.Random) -> bytes:
    """A document with other values, keys or nesting, or one that asks for a Python object."""
    if generator.random() < 0.02:
        return text + b"\nevil: !!python/object/apply:os.getcwd []\n"
    if generator.random() < 0.02:
        return b"[" * DEPTH + b"]" * DEPTH
    changed = _mutate_tree(yaml.safe_load(text), generator)
    return yaml.safe_dump(changed, allow_unicode=True).encode("utf-8", "surrogatepass")


def mutate_file(
    path: Path, mutate: Callable[[bytes, random.Random], bytes], generator: random.Random
) -> None:
    """Change a file in its place."""
    data = path.read_bytes()
    path.unlink()  # it may be a hard link to the sound one
    path.write_bytes(mutate(data, generator))


def damage_entry(path: Path, generator: random.Random) -> None:
    """A file removed, emptied, or replaced by a directory, or by a link that leads nowhere or elsewhere."""
    path.unlink()
    kind = generator.randrange(5)
    if kind == 0:
        path.write_bytes(b"")
    elif kind == 1:
        path.mkdir()
    elif kind == 2:
        path.symlink_to("absent")
    elif kind == 3:
        path.symlink_to("/etc/passwd")


def _flip(data: bytes, generator: random.Random) -> bytes:
    if not data:
        return data
    position = _position(data, generator)
    return data[:position] + bytes([data[position] ^ 1 << generator.randrange(8)]) + data[position + 1 :]


def _set_byte(data: bytes, generator: random.Random) -> bytes:
    if not data:
        return data
    position = _position(data, generator)
    return data[:position] + bytes([generator.randrange(256)]) + data[position + 1 :]


def _cut(data: bytes, generator: random.Random) -> bytes:
    return data[: generator.randrange(len(data) + 1)]


def _remove(data: bytes, generator: random.Random) -> bytes:
    start, stop = _piece(data, generator)
    return data[:start] + data[stop:]


def _repeat(data: bytes, generator: random.Random) -> bytes:
    start, stop = _piece(data, generator)
    return data[:stop] + data[start:stop] * generator.choice([1, 1, 3, 50]) + data[stop:]


def _zero(data: bytes, generator: random.Random) -> bytes:
    start, stop = _piece(data, generator)
    return data[:start] + bytes(stop - start) + data[stop:]


def _insert(data: bytes, generator: random.Random) -> bytes:
    position = generator.randrange(len(data) + 1)
    return data[:position] + generator.choice(STRANGE_BYTES) + data[position:]


def _replace_number(data: bytes, generator: random.Random) -> bytes:
    """Eight bytes, such as a length in a header, set to an extreme."""
    position = _position(data, generator) if data else 0
    number = generator.choice([0, 1, 2**31 - 1, 2**31, 2**40, 2**63 - 1, 2**64 - 1])
    return data[:position] + number.to_bytes(8, "little") + data[position + 8 :]


def _position(data: bytes, generator: random.Random) -> int:
    """A position, half of the time near the beginning, where headers are."""
    most = min(len(data), 512) if generator.random() < 0.5 else len(data)
    return generator.randrange(most)


def _piece(data: bytes, generator: random.Random) -> tuple[int, int]:
    start = generator.randrange(len(data) + 1)
    return start, min(len(data), start + generator.choice([1, 2, 8, 64, 1024]))


_BYTE_MUTATIONS = [_flip, _flip, _set_byte, _cut, _remove, _repeat, _zero, _insert, _replace_number]


def _mutate_tree(tree: Any, generator: random.Random) -> Any:
    tree = copy.deepcopy(tree)
    for _ in range(generator.choice([1, 1, 1, 2, 3])):
        places = list(_places(tree))
        if not places:
            return generator.choice(STRANGE_VALUES)
        holder, key = generator.choice(places)
        _change(holder, key, generator)
    return tree


def _change(holder: Any, key: Any, generator: random.Random) -> None:
    kind = generator.randrange(8)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[generator.choice(["", "unknown", "type", "$", "a/b", "é"])] = holder.pop(key)
    elif kind == 2:
        value = holder[key]
        holder[key] = [value] if generator.random() < 0.5 else {"a": value}
    elif kind == 3 and isinstance(holder, list):
        holder.extend(holder[:100])
    elif kind == 4 and type(holder[key]) in (int, float):
        holder[key] = generator.choice([-holder[key], holder[key] + 1, holder[key] * 1000, str(holder[key])])
    else:
        holder[key] = copy.deepcopy(generator.choice(STRANGE_VALUES))


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield tree, key
        yield from _places(value)
