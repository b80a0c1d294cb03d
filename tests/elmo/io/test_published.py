"""Tests of the download of published models, from a server of our own that can misbehave."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import numpy as np
import pytest

from elmo.errors import InputError
from elmo.files import default_cache_path
from elmo.io import published
from elmo.io.published import PUBLISHED, Published, fetch

OPTIONS = b'{"lstm": {}}'
Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


class Server:
    """Serves options.json and weights.hdf5 on this machine.

    Attributes:
        answers: how the next requests for the weights are answered; well when there is none.
        requests: the paths asked for so far.
    """

    def __init__(self) -> None:
        image = io.BytesIO()
        with h5py.File(image, "w") as file:
            file.create_dataset("char_embed", data=np.arange(50_000, dtype=np.float32))
        self.weights = image.getvalue()
        self.answers: list[Answer] = []
        self.requests: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.path)
                content = OPTIONS if self.path.endswith(".json") else outer.weights
                answer = outer.answers.pop(0) if outer.answers and content is outer.weights else whole
                answer(self, content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def send(handler: BaseHTTPRequestHandler, content: bytes, *, length: int, status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(length))
    handler.end_headers()
    handler.wfile.write(content)


def whole(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    send(handler, content, length=len(content))


def cut_off(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    send(handler, content[: len(content) // 2], length=len(content))


def too_short_length(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    send(handler, content, length=len(content) // 2)


def no_length(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(content[: len(content) // 2])


def html_page(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    page = b"<!DOCTYPE html><html><body>Please log in</body></html>"
    send(handler, page, length=len(page))


def forbidden(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    send(handler, b"", length=0, status=403)


def another_file(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    changed = content[:-1] + bytes([content[-1] ^ 1])
    send(handler, changed, length=len(changed))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server whose two files are the published model `tiny`; downloads are not retried."""
    server = Server()
    model = Published(
        f"{server.url}/options.json", f"{server.url}/weights.hdf5", hashlib.sha256(server.weights).hexdigest()
    )
    monkeypatch.setitem(PUBLISHED, "tiny", model)
    monkeypatch.setattr(published, "_RETRIES", 0)
    yield server
    server.close()


def files_below(path: Path) -> list[str]:
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())


def test_a_model_is_downloaded_once(
    server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options, weights = fetch("tiny", cache_path=tmp_path)
    assert options.read_bytes() == OPTIONS and weights.read_bytes() == server.weights
    assert fetch("tiny", cache_path=tmp_path) == (options, weights)
    assert server.requests == ["/options.json", "/weights.hdf5"]
    assert files_below(tmp_path) == ["published/tiny/options.json", "published/tiny/weights.hdf5"]
    assert capfd.readouterr() == ("", "")


MISBEHAVIOUR: dict[str, tuple[Answer, str]] = {
    "cut off": (cut_off, "the connection broke off"),
    "a length that is too short": (too_short_length, "is truncated"),
    "no length, cut off": (no_length, "is truncated"),
    "a web page": (html_page, "is not HDF5; it begins with '<!DOCTYPE html>'"),
    "forbidden": (forbidden, "403 Client Error: Forbidden for url: "),
    "another file": (another_file, "does not match the known hash"),
}


@pytest.mark.parametrize("case", MISBEHAVIOUR)
def test_what_arrives_damaged_is_one_line_and_not_kept(case: str, server: Server, tmp_path: Path) -> None:
    answer, message = MISBEHAVIOUR[case]
    server.answers = [answer]
    with pytest.raises(InputError) as caught:
        fetch("tiny", cache_path=tmp_path)
    text = str(caught.value)
    assert message in text and "\n" not in text
    directory = tmp_path / "published" / "tiny"
    by_hand = f"download {server.url}/options.json and {server.url}/weights.hdf5 by hand"
    assert text.endswith(f"{by_hand} and put both files into {directory}")
    assert files_below(tmp_path) == ["published/tiny/options.json"]
    _, weights = fetch("tiny", cache_path=tmp_path)
    assert weights.read_bytes() == server.weights


def test_a_page_instead_of_options_is_one_line(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PUBLISHED, "tiny", PUBLISHED["tiny"]._replace(options_url=f"{server.url}/o.json"))
    monkeypatch.setitem(globals(), "OPTIONS", b"<html>")
    with pytest.raises(
        InputError, match=r"^tiny: cannot be downloaded \(.* is not JSON; it begins with '<html>'"
    ):
        fetch("tiny", cache_path=tmp_path)
    assert files_below(tmp_path) == []


def test_a_broken_connection_is_tried_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "_RETRIES", 1)
    server.answers = [cut_off]
    _, weights = fetch("tiny", cache_path=tmp_path)
    assert weights.read_bytes() == server.weights
    assert server.requests == ["/options.json", "/weights.hdf5", "/weights.hdf5"]


def test_files_put_there_by_hand_serve_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *args, **options: pytest.fail("it went online"))
    directory = tmp_path / "published" / "small"
    directory.mkdir(parents=True)
    names = [f"elmo_2x1024_128_2048cnn_1xhighway_{end}" for end in ("options.json", "weights.hdf5")]
    for name in names:
        (directory / name).touch()
    assert fetch("small", cache_path=tmp_path) == (directory / names[0], directory / names[1])


@pytest.mark.parametrize("fault", ["refused", "a name that takes for ever to look up"])
def test_offline_and_absent_is_one_line_at_once(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_up(*arguments: object, **options: object) -> None:
        time.sleep(0.0 if fault == "refused" else 4.0)
        raise OSError("no network")

    for variable in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(variable)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    began = time.monotonic()
    with pytest.raises(InputError) as caught:
        fetch("original", cache_path=tmp_path)
    assert time.monotonic() - began < 2
    model = PUBLISHED["original"]
    assert str(caught.value) == (
        "original: cannot be downloaded (s3-us-west-2.amazonaws.com cannot be reached); "
        f"download {model.options_url} and {model.weights_url} by hand and put both files into "
        f"{tmp_path / 'published' / 'original'}"
    )


def test_an_unknown_name_is_told_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^orignal: not a published model; nearest: original"):
        fetch("orignal", cache_path=tmp_path)


def test_a_cache_that_cannot_be_written_is_one_line(server: Server, tmp_path: Path) -> None:
    (tmp_path / "published").touch()
    with pytest.raises(
        InputError, match=r"options.json: cannot be written .*ELMO_CACHE names another place$"
    ):
        fetch("tiny", cache_path=tmp_path)


def test_the_environment_names_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ELMO_CACHE", str(tmp_path / "here"))
    assert default_cache_path() == tmp_path / "here"
    monkeypatch.delenv("ELMO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache_path() == tmp_path / "xdg" / "elmo-experiments"


def test_every_model_has_two_files_in_the_public_bucket() -> None:
    for model in PUBLISHED.values():
        for url, end in ((model.options_url, "_options.json"), (model.weights_url, ".hdf5")):
            assert url.startswith(
                "https://s3-us-west-2.amazonaws.com/allennlp/models/elmo/"
            ) and url.endswith(end)
    assert {"small", "medium", "original", "original-5.5B"} <= PUBLISHED.keys()
