"""Data sets of the Hugging Face hub, or local files with the same columns."""

from __future__ import annotations

import re
import socket
import threading
import urllib.parse
import urllib.request
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from elmo.errors import InputError
from elmo.registry import REGISTRY
from tasks.sources.local_files import BATCH_SIZE, count_bytes, describe_files, find_files, stream_table
from tasks.sources.source import SPLITS, LineBatch, Source, Split

_BUILDERS = {".parquet": "parquet", ".json": "json", ".jsonl": "json", ".csv": "csv", ".txt": "text"}
_PROBE_SECONDS = 1.5  # a working network answers in a tenth of it; the hub's own client retries for 23 s


@REGISTRY.register("data", "hub")
class HubSource(Source):
    """A data set by its name on the hub; downloaded once, then found without network.

    Args:
        name: as the hub has it, `owner/name`.
        config: which of its configurations; None: the only one.
        revision: a branch or commit; None: the newest (a store that was prepared before is still used).
        text_column: the column with the text; a row is a sentence, or prose.
        train_split: the split to learn from.
        heldout_split: the split to evaluate on.
        skip: a regular expression; rows that match it as a whole are left out, as blank ones are; None: none.
        prose: whether rows are split into sentences.
        language: ISO 639-1, for splitting prose.
        train: paths or globs of local files instead of the hub's split (parquet, jsonl, json, csv, txt).
        heldout: the same for the held-out split.
    """

    def __init__(
        self,
        *,
        name: str,
        config: str | None = None,
        revision: str | None = None,
        text_column: str = "text",
        train_split: str = "train",
        heldout_split: str = "validation",
        skip: str | None = None,
        prose: bool = False,
        language: str = "en",
        train: str | list[str] | None = None,
        heldout: str | list[str] | None = None,
    ) -> None:
        try:
            self._skip = re.compile(skip) if skip else None
        except re.error as error:
            raise InputError(f"data.skip: {skip!r} is no regular expression: {error}") from error
        self.name = name
        self.config = config
        self.revision = revision
        self.text_column = text_column
        self.train_split = train_split
        self.heldout_split = heldout_split
        self.skip = skip
        self.prose = prose
        self.language = language
        self.train = train
        self.heldout = heldout

    def check(self, splits: Collection[Split] = SPLITS) -> None:
        for split in splits:
            for path in self._files(split) or []:
                _builder_of(path, f"data.{split}")

    def fingerprint(self, split: Split) -> dict[str, Any]:
        files = self._files(split)
        text: dict[str, Any] = {"name": self.name, "config": self.config, "revision": self.revision}
        text["split"] = self._hub_split(split)
        if files is not None:
            text = {"files": describe_files(files)}
        options = ("text_column", "skip", "prose", "language")
        return text | {option: getattr(self, option) for option in options}

    def num_bytes(self, split: Split) -> int | None:
        files = self._files(split) or []
        return count_bytes(files) if files and all(path.suffix == ".txt" for path in files) else None

    def lines(self, split: Split) -> Iterator[LineBatch]:
        files = self._files(split)
        if files is None:
            yield from self._lines_of(f"{self.name}:{self._hub_split(split)}", self._stream_hub(split))
            return
        for path in files:
            key = f"data.{split}"
            yield from self._lines_of(str(path), stream_table(_builder_of(path, key), path, key=key))

    def _files(self, split: Split) -> list[Path] | None:
        patterns = self.train if split == "train" else self.heldout
        return None if patterns is None else find_files(patterns, key=f"data.{split}")

    def _hub_split(self, split: Split) -> str:
        return self.train_split if split == "train" else self.heldout_split

    def _stream_hub(self, split: Split) -> Iterator[dict[str, list[Any]]]:
        dataset = load_split(
            self.name,
            config=self.config,
            revision=self.revision,
            split=self._hub_split(split),
            advice="local files will do: data=text data.train='...' data.heldout='...'",
        )
        yield from dataset.iter(batch_size=BATCH_SIZE)

    def _lines_of(self, name: str, batches: Iterator[dict[str, list[Any]]]) -> Iterator[LineBatch]:
        first_row = 1
        for batch in batches:
            if self.text_column not in batch:
                raise InputError(
                    f"data.text_column: {name} has no {self.text_column!r}, only {', '.join(batch)}"
                )
            rows = batch[self.text_column]
            lines = [self._line_of(row, name, number) for number, row in enumerate(rows, start=first_row)]
            yield LineBatch(name, first_row, lines, self.prose)
            first_row += len(rows)

    def _line_of(self, row: Any, name: str, number: int) -> str:
        if not isinstance(row, str):
            raise InputError(f"{name}:{number}: column {self.text_column!r} holds {row!r}, which is no text")
        line = " ".join(row.splitlines()) if "\n" in row else row  # so that a row is one line
        return "" if self._skip and self._skip.fullmatch(line) else line


def _builder_of(path: Path, key: str) -> str:
    suffixes = [suffix for suffix in path.suffixes[-2:] if suffix != ".gz"]
    builder = _BUILDERS.get(suffixes[-1]) if suffixes else None
    if builder is None:
        raise InputError(f"{key}: {path} is none of {', '.join(_BUILDERS)}; for plain text use data=text")
    return builder


def load_split(name: str, *, config: str | None, revision: str | None, split: str, advice: str) -> Any:
    """A split of a data set of the hub; InputError, at once, when it is neither reachable nor cached.

    `advice` ends the error's line: what to do without the hub.
    """
    import datasets

    is_offline = datasets.config.HF_HUB_OFFLINE
    endpoint = datasets.config.HF_ENDPOINT
    # The library has no argument for this: offline, it looks into its cache only and does not try for long.
    datasets.config.HF_HUB_OFFLINE = is_offline or not _is_reachable(endpoint)
    try:
        return datasets.load_dataset(name, config, revision=revision, split=split)
    except (OSError, ValueError, RuntimeError) as error:  # not found, no such config or split, needs a script
        reason = " ".join(str(error).split())
        if datasets.config.HF_HUB_OFFLINE and isinstance(error, OSError):
            reason = f"{endpoint} cannot be reached and it is not in the cache"
        raise InputError(
            f"data.name: cannot load {name} ({config or 'default'}, {split}): {reason}; {advice}"
        ) from error
    finally:
        datasets.config.HF_HUB_OFFLINE = is_offline


def _is_reachable(endpoint: str) -> bool:
    """Whether the host of an address, or the proxy that leads to it, takes connections."""
    address = urllib.parse.urlsplit(endpoint)
    proxy = urllib.request.getproxies().get(address.scheme)
    if proxy and not urllib.request.proxy_bypass(address.hostname or ""):
        address = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
    port = address.port or (80 if address.scheme == "http" else 443)
    answered = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((address.hostname, port), timeout=_PROBE_SECONDS).close()
        except OSError:
            return
        answered.set()

    # In a thread, because looking up a name obeys no time limit.
    probe = threading.Thread(target=connect, daemon=True)
    probe.start()
    probe.join(_PROBE_SECONDS)
    return answered.is_set()
