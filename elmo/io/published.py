"""The published ELMo models by name: downloaded once, checked, and kept in the user's cache directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import h5py
import pooch
import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from elmo.errors import InputError
from elmo.files import CACHE_VARIABLE, default_cache_path
from elmo.io.reachability import can_reach, endpoint
from elmo.registry import suggest

_BUCKET = "https://s3-us-west-2.amazonaws.com/allennlp/models/elmo"
_STALL_SECONDS = 30.0  # longest time without receiving a byte
_RETRIES = 2
_CHUNK_SIZE = 1 << 18  # bytes


class Published(NamedTuple):
    """The URLs of a model's files, and the SHA-256 of its weights if it is known."""

    options_url: str
    weights_url: str
    sha256: str | None


def _in_bucket(folder: str, options: str, weights: str, sha256: str | None = None) -> Published:
    return Published(f"{_BUCKET}/{folder}/{options}", f"{_BUCKET}/{folder}/{weights}", sha256)


def _english(sizes: str, sha256: str | None = None) -> Published:
    return _in_bucket(sizes, f"elmo_{sizes}_options.json", f"elmo_{sizes}_weights.hdf5", sha256)


# The checksums come from copies of the files under version control elsewhere; for the other models none is
# known.
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
    """The paths of a published model's options and weights; downloads them the first time.

    Files are written atomically. An existing file is not checked, so that the user may also put it there.

    Args:
        name: a key of PUBLISHED.
        cache_path: the directory of the models; None: `default_cache_path()`.

    Raises:
        InputError: the name is unknown, or the files cannot be downloaded; then the message says which files
            to download by hand and where to put them.
    """
    if name not in PUBLISHED:
        raise InputError(f"{name}: not a published model{suggest(name, PUBLISHED)}")
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


def _download(url: str, path: Path, sha256: str | None, *, name: str) -> None:
    reason = None if can_reach(url) else f"{endpoint(url)[0]} cannot be reached"
    if reason is None:
        reason = _try_download(url, path, sha256)
    if reason is not None:
        model = PUBLISHED[name]
        raise InputError(
            f"{name}: cannot be downloaded ({reason}); download {model.options_url} and {model.weights_url} "
            f"by hand and put both files into {path.parent}"
        )


def _try_download(url: str, path: Path, sha256: str | None) -> str | None:
    """Download a file; returns None, or the reason of the failure in a few words."""
    pooch.get_logger().setLevel("WARNING")  # the progress bar shows all that its messages would
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
    except OSError as error:  # after RequestException, which is a subclass
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); {CACHE_VARIABLE} names another place"
        ) from error
    except ValueError as error:
        return f"{url}: {' '.join(str(error).split())}"
    return None


def _download_checked(url: str, output_file: str, owner: Any) -> None:
    """Download for pooch, which keeps the file only if this function returns.

    Raises:
        ValueError: the content is not JSON or HDF5: a server may send an error page instead, or too short a
            length, and a connection that is closed early looks like the end of the file.
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
        raise ValueError(f"the file is not JSON; it begins with {_beginning(path)}") from error


def _check_hdf5(path: Path) -> None:
    try:
        h5py.File(path, "r").close()
    except OSError as error:
        size = path.stat().st_size
        fault = "is truncated" if h5py.is_hdf5(path) else f"is not HDF5; it begins with {_beginning(path)}"
        raise ValueError(f"the file of {size:,} bytes {fault}") from error


def _beginning(path: Path) -> str:
    with path.open("rb") as file:
        return repr(file.read(15).decode("utf-8", "replace"))


class _Bar:
    """A progress bar with the methods that pooch calls; shown only if standard error is a terminal.

    Attributes:
        total: number of bytes; pooch sets it when it knows.
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
        """Called last by pooch; nothing to do, as `__exit__` stops the bar."""
