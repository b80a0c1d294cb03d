"""The published ELMo models by name: downloaded once, checked, and kept in the user's cache."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import h5py
import pooch
import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from elmo.errors import InputError
from elmo.io.reachability import can_reach, endpoint
from elmo.registry import suggest

CACHE_VARIABLE = "ELMO_CACHE"
_BUCKET = "https://s3-us-west-2.amazonaws.com/allennlp/models/elmo"
_STALL_SECONDS = 30.0  # without a byte
_RETRIES = 2
_CHUNK_SIZE = 1 << 18  # bytes


class Published(NamedTuple):
    """Where a model lies, and the SHA-256 of its weights where that is known."""

    options_url: str
    weights_url: str
    sha256: str | None


def _in_bucket(folder: str, options: str, weights: str, sha256: str | None = None) -> Published:
    return Published(f"{_BUCKET}/{folder}/{options}", f"{_BUCKET}/{folder}/{weights}", sha256)


def _english(sizes: str, sha256: str | None = None) -> Published:
    return _in_bucket(sizes, f"elmo_{sizes}_options.json", f"elmo_{sizes}_weights.hdf5", sha256)


# The checksums are those of copies that others keep in version control; of the other models none is known.
PUBLISHED = {
    "small": _english(
        "2x1024_128_2048cnn_1xhighway", "747ba97abce8a5f446558369e10bb0f7931437a46867476fdd156f5d7f576229"
    ),
    "medium": _english("2x2048_256_2048cnn_1xhighway"),
    "original": _english(
        "2x4096_512_2048cnn_2xhighway", "a6b92b9ccbb13fe489faacd2221c795d4bebe84b75f8aded9d85ea464fa5c994"
    ),
    "original-5.5B": _english("2x4096_512_2048cnn_2xhighway_5.5B"),
    "portuguese": _in_bucket("contributed/pt", "elmo_pt_options.json", "elmo_pt_weights.hdf5"),
    "pubmed": _in_bucket(
        "contributed/pubmed",
        "elmo_2x4096_512_2048cnn_2xhighway_options.json",
        "elmo_2x4096_512_2048cnn_2xhighway_weights_PubMed_only.hdf5",
    ),
}


def fetch(name: str, *, cache_path: Path | None = None) -> tuple[Path, Path]:
    """The options and weights of a published model, downloaded the first time.

    A file appears whole or not at all; one that is there is not looked into, so that files which the user has
    put there serve as well.

    Args:
        name: a key of PUBLISHED.
        cache_path: where models are kept; None: what the environment variable ELMO_CACHE names, otherwise the
            user's cache directory.

    Raises:
        InputError: an unknown name; or the files are neither there nor to be had: the message says which to
            fetch by hand and where to put them.
    """
    if name not in PUBLISHED:
        raise InputError(f"{name}: no published model{suggest(name, PUBLISHED)}")
    model = PUBLISHED[name]
    directory = (cache_path or default_cache_path()) / "published" / name
    targets = {
        url: directory / Path(urlsplit(url).path).name for url in (model.options_url, model.weights_url)
    }
    for url, path in targets.items():
        if not path.is_file():
            _download(url, path, model.sha256 if url == model.weights_url else None, name=name)
    options, weights = targets.values()
    return options, weights


def default_cache_path() -> Path:
    """The directory that ELMO_CACHE names, otherwise `elmo-experiments` in the user's cache directory."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named).expanduser() if named else Path(pooch.os_cache("elmo-experiments"))


def _download(url: str, path: Path, sha256: str | None, *, name: str) -> None:
    reason = None if can_reach(url) else f"{endpoint(url)[0]} cannot be reached"
    if reason is None:
        reason = _try_download(url, path, sha256)
    if reason is not None:
        model = PUBLISHED[name]
        raise InputError(
            f"{name}: cannot be downloaded ({reason}); fetch {model.options_url} and {model.weights_url} "
            f"by hand and put both files into {path.parent}"
        )


def _try_download(url: str, path: Path, sha256: str | None) -> str | None:
    """Download a file; what went wrong, in a few words, or None."""
    pooch.get_logger().setLevel("WARNING")  # the bar tells all that its notes would
    files = pooch.create(
        path.parent,
        base_url="",
        registry={path.name: sha256},
        urls={path.name: url},
        retry_if_failed=_RETRIES,
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.fetch(path.name, downloader=_download_checked)
    except requests.HTTPError as error:
        return str(error)
    except requests.RequestException as error:
        return f"{url}: the connection broke off: {type(error).__name__}"
    except OSError as error:  # RequestExceptions are OSErrors, too
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); {CACHE_VARIABLE} names another place"
        ) from error
    except ValueError as error:
        return f"{url}: {' '.join(str(error).split())}"
    return None


def _download_checked(url: str, output_file: str, owner: Any) -> None:
    """Pooch's download into a file that is not kept unless this returns.

    Raises:
        ValueError: what came is no such file. A server may have answered with a page of its own, or have
            given a length that is too short, and a connection closed early looks like the end.
    """
    with _Bar(title=Path(urlsplit(url).path).name) as bar:
        download = pooch.HTTPDownloader(progressbar=bar, chunk_size=_CHUNK_SIZE, timeout=_STALL_SECONDS)
        download(url, output_file, owner)
    if url.endswith(".json"):
        _check_json(Path(output_file))
    else:
        _check_hdf5(Path(output_file))


def _check_json(path: Path) -> None:
    try:
        json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"what arrived is no JSON but begins with {_beginning(path)}") from error


def _check_hdf5(path: Path) -> None:
    try:
        h5py.File(path, "r").close()
    except OSError as error:
        size = path.stat().st_size
        what = "is cut short" if h5py.is_hdf5(path) else f"is no HDF5 but begins with {_beginning(path)}"
        raise ValueError(f"what arrived, {size:,} bytes, {what}") from error


def _beginning(path: Path) -> str:
    with path.open("rb") as file:
        return repr(file.read(15).decode("utf-8", "replace"))


class _Bar:
    """The object that pooch reports to, drawn by rich where standard error is a terminal.

    Attributes:
        total: bytes, which pooch sets when it knows them.
    """

    def __init__(self, *, title: str) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            DownloadColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=None)
        self.total = 0

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def update(self, num_bytes: int) -> None:
        self._bar.update(self._task, advance=num_bytes, total=self.total or None)

    def reset(self) -> None:
        self._bar.reset(self._task)

    def close(self) -> None:
        """Pooch's last call; the bar stops where it was started."""
