"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from elmo.errors import InputError
from elmo.files import (
    atomic_directory,
    atomic_write,
    file_lock,
    json_text,
    partial_path,
    write_partial,
    written_once,
)


def test_a_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "words.txt"
    with atomic_write(path) as aside:
        aside.write_text("the")
        assert not path.exists()
    assert path.read_text() == "the"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_keeps_the_old_file_and_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as aside:
        aside.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), atomic_directory(tmp_path / "store") as aside:
        (aside / "half").touch()
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with atomic_directory(tmp_path / "store") as aside:
        (aside / "whole").touch()
    assert (tmp_path / "store" / "whole").exists()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_who_may_read_a_file_is_decided_by_the_umask_and_not_by_the_library_that_wrote_it(
    tmp_path: Path, umask: int, mode: int
) -> None:
    before = os.umask(umask)
    try:
        with atomic_directory(tmp_path / "model") as aside:
            save_file({"a": torch.zeros(1)}, aside / "weights.safetensors")  # writes 0600
        with atomic_write(tmp_path / "weights.safetensors") as aside:
            save_file({"a": torch.zeros(1)}, aside)
    finally:
        os.umask(before)
    for path in tmp_path.rglob("*.safetensors"):
        assert oct(path.stat().st_mode & 0o777) == oct(mode), path


def test_json_holds_every_script_as_it_is_and_is_utf8_also_with_half_a_character() -> None:
    value = {"word": "na\u00efve \u65e5\u672c \U0001f600", "half": "\ud83d", "escape": "\\ud83d"}
    text = json_text(value)
    assert "na\u00efve \u65e5\u672c \U0001f600" in text
    assert json.loads(text.encode("utf-8")) == value


def test_the_first_of_two_writers_of_a_directory_wins(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with pytest.raises(FileExistsError), atomic_directory(path) as aside:
        path.mkdir()
        (path / "first").touch()
        (aside / "second").touch()
    assert [file.name for file in path.iterdir()] == ["first"]
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path: Path) -> None:
    code = (
        "import os; from pathlib import Path; from elmo.files import atomic_directory\n"
        f"with atomic_directory(Path({str(tmp_path / 'store')!r})): os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    with atomic_directory(tmp_path / "store"):
        pass
    assert list(tmp_path.iterdir()) == [tmp_path / "store"]


def test_a_lock_is_held_by_one_until_its_context_ends(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with file_lock(path):
        with pytest.raises(BlockingIOError), file_lock(path):
            pass
        code = (
            "import sys; from pathlib import Path; from elmo.files import file_lock\n"
            "with file_lock(Path(sys.argv[1])): pass"
        )
        other = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
        assert "BlockingIOError" in other.stderr
    with file_lock(path):
        assert path.stat().st_size == 0


def test_what_several_need_is_written_once_and_the_others_wait(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, written = tmp_path / "cache" / "store", []

    def need() -> None:
        with written_once(path):
            if not path.exists():
                written.append(path)
                while not caplog.messages:  # until another one waits
                    time.sleep(0.01)
                path.write_text("x")

    threads = [threading.Thread(target=need) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert written == [path]
    assert set(caplog.messages) == {f"{path}: another process is computing it; waiting to read it"}
    assert list(path.parent.iterdir()) == [path]


def test_where_no_lock_can_be_created_the_work_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with written_once(tmp_path / "file" / "store"):
        (tmp_path / "done").touch()
    assert (tmp_path / "done").exists()


def test_a_full_disk_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    message = r"words.txt: no space left to write it; free some space"
    with pytest.raises(InputError, match=message), atomic_write(tmp_path / "words.txt") as aside:
        aside.write_text("the")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_to_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = r"file/words.txt: cannot be written \(.*\); choose another place"
    with pytest.raises(InputError, match=message), atomic_write(tmp_path / "file" / "words.txt"):
        pass


def test_a_partial_file_can_be_read_while_it_grows_and_is_renamed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.jsonl"
    with write_partial(path) as file:
        file.write("1\n")
        file.flush()
        assert not path.exists() and partial_path(path).read_text() == "1\n"
        file.write("2\n")
    assert path.read_text() == "1\n2\n"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("written", ["1\n", ""])
def test_a_partial_file_stays_after_a_failure_if_anything_is_in_it(tmp_path: Path, written: str) -> None:
    with pytest.raises(ZeroDivisionError), write_partial(tmp_path / "out") as file:
        file.write(written)
        raise ZeroDivisionError
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == (
        {"out.partial": written} if written else {}
    )


@pytest.mark.parametrize("name", ["out", "out.partial"])
def test_neither_a_file_nor_its_partial_one_is_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    with (
        pytest.raises(InputError, match=rf"{name}: exists already; nothing is overwritten"),
        write_partial(tmp_path / "out"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_full_disk_keeps_the_partial_file_and_is_explained(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"out: no space left to write it"),
        write_partial(tmp_path / "out") as file,
    ):
        file.write("1\n")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert [path.name for path in tmp_path.iterdir()] == ["out.partial"]
