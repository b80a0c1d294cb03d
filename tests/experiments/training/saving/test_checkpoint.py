"""Checkpoints: exact round trips, damage and full disks told in one line, old ones removed."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from full_disk import largest_file
from places import ROOT

from elmo.errors import InputError
from elmo.io.tensor_file import write_tensors
from experiments.training.saving import checkpoint
from experiments.training.saving.checkpoint import Checkpoints, load_checkpoint, save_checkpoint

SAVE_ON_A_FULL_DISK = """
import sys
from pathlib import Path
import torch
from elmo.errors import InputError
from experiments.training.saving.checkpoint import Checkpoints
checkpoints = Checkpoints(Path(sys.argv[1]) / "checkpoints", keep=2)
checkpoints.save(1, {"weight": torch.ones(1000)})
checkpoints.save(2, {"weight": torch.ones(1_000_000)})
try:
    checkpoints.wait()
except InputError as error:
    print(error)
print(sorted(path.name for path in checkpoints.path.iterdir()), len(checkpoints.load("last")["weight"]))
"""


def round_trip(state: dict[Any, Any], path: Path) -> dict[Any, Any]:
    save_checkpoint(path / "state", state)
    return load_checkpoint(path / "state")


def assert_same(loaded: Any, saved: Any) -> None:
    assert type(loaded) is type(saved)
    if isinstance(saved, dict):
        assert list(loaded) == list(saved)
        assert [type(key) for key in loaded] == [type(key) for key in saved]
        for key, value in saved.items():
            assert_same(loaded[key], value)
    elif isinstance(saved, (list, tuple)):
        assert len(loaded) == len(saved)
        for ours, theirs in zip(loaded, saved, strict=True):
            assert_same(ours, theirs)
    elif isinstance(saved, torch.Tensor):
        assert (loaded.dtype, loaded.shape) == (saved.dtype, saved.shape)
        assert torch.equal(loaded, saved)
    elif isinstance(saved, np.ndarray):
        assert (loaded.dtype, loaded.shape) == (saved.dtype, saved.shape)
        np.testing.assert_array_equal(loaded, saved)
    else:
        assert loaded == saved or (math.isnan(loaded) and math.isnan(saved))


def trained(seed: int) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, betas=(0.9, 0.95))
    step(model, optimizer)
    return model, optimizer


def step(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> float:
    optimizer.zero_grad()
    loss = model(torch.randn(5, 3)).square().sum()
    loss.backward()
    optimizer.step()
    return loss.item()


def test_plain_values_come_back_with_their_types(tmp_path: Path) -> None:
    state = {
        "text": "zażółć \ud800 \n",
        "numbers": [1, -(2**127), 0.1, 1e-310, True, None, float("inf"), float("nan")],
        "tuple": (1, ("a", [2.0]), ()),
        "nested": {0: {"a": 1}, 1: {}, (0, "x"): 2, None: 3, 1.5: 4},
        "$": "not a tag",
        "tagged": {"$": "tensor", "name": "t0"},
    }
    assert_same(round_trip(state, tmp_path), state)


def test_every_kind_of_tensor_comes_back(tmp_path: Path) -> None:
    base = torch.arange(12.0)
    state = {
        "scalar": torch.tensor(3.5, dtype=torch.float64),
        "bf16": torch.randn(3, 2).bfloat16(),
        "empty": [torch.zeros(0), torch.zeros(0, 5, dtype=torch.int64)],
        "bool": torch.tensor([True, False]),
        "transposed": base.view(3, 4).T,
        "views": [base, base[2:5], base[::2], base[2:3].expand(4)],
        "generator": torch.Generator().manual_seed(7).get_state(),
    }
    assert_same(round_trip(state, tmp_path), state)


def test_numpy_arrays_and_generators_come_back(tmp_path: Path) -> None:
    generators = [np.random.default_rng(3), np.random.Generator(np.random.MT19937(4))]
    state = {
        "arrays": [
            np.array(2.0),
            np.zeros((0, 3), dtype=np.int32),
            np.arange(6).reshape(2, 3).T,
            np.array([2**63], np.uint64),
        ],
        "generators": [generator.bit_generator.state for generator in generators],
    }
    loaded = round_trip(state, tmp_path)
    assert_same(loaded, state)
    again = np.random.default_rng()
    again.bit_generator.state = loaded["generators"][0]
    assert again.random() == generators[0].random()


def test_tied_tensors_are_stored_once_and_stay_one(tmp_path: Path) -> None:
    weight = torch.randn(1000, 100)
    loaded = round_trip({"embedding": weight, "output": torch.nn.Parameter(weight)}, tmp_path)
    assert loaded["embedding"] is loaded["output"]
    assert (tmp_path / "state" / "state.safetensors").stat().st_size < 1.1 * weight.nbytes


def test_a_state_without_tensors_comes_back(tmp_path: Path) -> None:
    assert round_trip({"step": 3}, tmp_path) == {"step": 3}


def test_an_optimizer_goes_on_exactly(tmp_path: Path) -> None:
    model, optimizer = trained(0)
    loaded = round_trip(
        {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "generator": torch.get_rng_state(),
        },
        tmp_path,
    )
    expected = [step(model, optimizer) for _ in range(3)]
    other_model, other_optimizer = trained(1)
    other_model.load_state_dict(loaded["model"])
    other_optimizer.load_state_dict(loaded["optimizer"])
    torch.set_rng_state(loaded["generator"])
    assert [step(other_model, other_optimizer) for _ in range(3)] == expected
    assert_same(loaded["optimizer"]["param_groups"], optimizer.state_dict()["param_groups"])


def test_what_cannot_be_saved_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"state\['cursor'\]\[1\]: a set cannot be saved"):
        save_checkpoint(tmp_path / "state", {"cursor": [1, {2}]})
    with pytest.raises(TypeError, match=r"state\['words'\]: an array of <U1 cannot be saved"):
        save_checkpoint(tmp_path / "state", {"words": np.array(["a"])})
    assert list(tmp_path.iterdir()) == []


def saved_at(path: Path, *steps: int, keep: int = 3, best: int | None = None) -> Checkpoints:
    checkpoints = Checkpoints(path, keep=keep)
    for at in steps:
        checkpoints.save(at, {"step": at, "weight": torch.full((100,), float(at))})
        if at == best:
            assert checkpoints.mark_best(at)
    checkpoints.wait()
    return checkpoints


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    checkpoints = saved_at(tmp_path, 10, 20, 30, 40, 50, keep=2, best=20)
    assert names(tmp_path) == ["best", "last", "step-0000020", "step-0000040", "step-0000050"]
    assert checkpoints.load("last")["step"] == 50
    assert checkpoints.load("best")["step"] == 20
    assert (tmp_path / "best").readlink() == Path("step-0000020")  # relative: the run may be moved


def test_a_former_best_is_removed_when_it_is_old(tmp_path: Path) -> None:
    saved_at(tmp_path, 10, 20, keep=1, best=10)
    saved_at(tmp_path, 30, keep=1, best=30)
    assert names(tmp_path) == ["best", "last", "step-0000030"]


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    checkpoints = saved_at(tmp_path, 10)
    checkpoints.mark_best(10)
    checkpoints.save(10, {"step": "again"})
    assert checkpoints.load("last") == checkpoints.load("best") == {"step": "again"}
    assert names(tmp_path) == ["best", "last", "step-0000010"]


def test_entries_of_a_saved_state_are_replaced_and_its_tensors_stay(tmp_path: Path) -> None:
    checkpoints = saved_at(tmp_path, 10)
    before = (tmp_path / "step-0000010" / "state.safetensors").read_bytes()
    checkpoints.amend(10, {"step": 11, "scores": {"dev/error": float("nan")}})
    loaded = checkpoints.load("last")
    expected = {"step": 11, "weight": torch.full((100,), 10.0), "scores": {"dev/error": float("nan")}}
    assert_same(loaded, expected)
    assert (tmp_path / "step-0000010" / "state.safetensors").read_bytes() == before
    assert names(tmp_path / "step-0000010") == ["state.json", "state.safetensors"]


def test_a_checkpoint_that_is_gone_is_not_the_best(tmp_path: Path) -> None:
    checkpoints = saved_at(tmp_path, 10, best=10)
    assert not checkpoints.mark_best(20)
    assert checkpoints.load("best")["step"] == 10


def test_checkpoints_of_an_abandoned_future_are_removed(tmp_path: Path) -> None:
    saved_at(tmp_path, 10, 20, 30)
    assert saved_at(tmp_path, 15).load("last")["step"] == 15
    assert names(tmp_path) == ["last", "step-0000010", "step-0000015"]


def test_a_checkpoint_at_a_share_of_the_run_is_kept_until_another_is_at_that_share(tmp_path: Path) -> None:
    checkpoints = saved_at(tmp_path, 10, keep=1)
    checkpoints.save(20, {"step": 20}, shares=[0.1, 0.25])
    checkpoints.wait()
    saved_at(tmp_path, 30, 40, keep=1)
    links = ["at-0.1", "at-0.25", "last"]
    assert names(tmp_path) == [*links, "step-0000020", "step-0000040"]
    assert checkpoints.load("at-0.25")["step"] == 20
    (tmp_path / ".at-0.25-aside").symlink_to("step-0000050")  # what a kill leaves
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(50, {"step": 50}, shares=[0.1, 0.25])
    checkpoints.wait()
    assert names(tmp_path) == [*links, "step-0000050"]


def test_leftovers_of_a_killed_save_are_removed_by_the_next(tmp_path: Path) -> None:
    checkpoints = saved_at(tmp_path, 10)
    (tmp_path / ".step-0000020-aside").mkdir()
    (tmp_path / ".step-0000020-aside" / "state.safetensors").write_bytes(b"half")
    (tmp_path / ".last-aside").symlink_to("step-0000020")
    assert checkpoints.load("last")["step"] == 10
    saved_at(tmp_path, 20)
    assert names(tmp_path) == ["last", "step-0000010", "step-0000020"]


def test_a_run_copied_with_its_links_followed_can_go_on(tmp_path: Path) -> None:
    saved_at(tmp_path / "here", 10, best=10)
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    assert Checkpoints(tmp_path / "there", keep=3).load("best")["step"] == 10
    assert saved_at(tmp_path / "there", 20).load("last")["step"] == 20


def damage(path: Path, file: str, kind: str) -> None:
    content = bytearray((path / file).read_bytes())
    content[-9] ^= 1
    (path / file).write_bytes({"truncated": content[:-20], "changed": content}.get(kind, b""))
    if kind == "missing":
        (path / file).unlink()


@pytest.mark.parametrize("file", ["state.json", "state.safetensors"])
@pytest.mark.parametrize("kind", ["missing", "truncated", "changed", "empty"])
def test_instead_of_a_damaged_checkpoint_the_one_before_is_loaded_with_a_warning_that_names_both(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str, kind: str
) -> None:
    checkpoints = saved_at(tmp_path, 10, 20, 30)
    for at in ("step-0000020", "step-0000030"):
        damage(tmp_path / at, file, kind)
    assert checkpoints.load("last")["step"] == 10
    (message,) = caplog.messages
    assert message.startswith(str(tmp_path / "step-0000030" / file))
    assert message.endswith(f"; going on from {tmp_path / 'step-0000010'} instead")
    assert "\n" not in message


def test_a_link_to_a_missing_checkpoint_leads_to_the_newest_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = saved_at(tmp_path, 10, 20)
    shutil.rmtree(tmp_path / "step-0000020")
    assert checkpoints.load("last")["step"] == 10
    assert caplog.messages == [
        f"{tmp_path / 'last'}: step-0000020, which it stands for, is missing;"
        f" going on from {tmp_path / 'step-0000010'} instead"
    ]


def test_without_a_good_checkpoint_the_fault_of_the_newest_is_told_in_a_line(tmp_path: Path) -> None:
    checkpoints = saved_at(tmp_path, 10, 20)
    for at in ("step-0000010", "step-0000020"):
        damage(tmp_path / at, "state.json", "changed")
    with pytest.raises(InputError) as caught:
        checkpoints.load("last")
    newest = re.escape(str(tmp_path / "step-0000020" / "state.json"))
    assert re.fullmatch(f"{newest}: .*; no other checkpoint can be read", str(caught.value))


def test_a_checkpoint_of_another_format_is_told_as_one(tmp_path: Path) -> None:
    checkpoints = saved_at(tmp_path, 10)
    path = tmp_path / "step-0000010" / "state.json"
    path.write_text(path.read_text().replace('"format": 3', '"format": 2'))
    with pytest.raises(
        InputError, match=r"state\.json: of format 2, and this version reads 3: go on with the"
    ):
        checkpoints.load("last")


def test_a_damaged_best_checkpoint_is_told_with_what_to_do(tmp_path: Path) -> None:
    checkpoints = saved_at(tmp_path, 10, 20, best=10)
    damage(tmp_path / "step-0000010", "state.safetensors", "truncated")
    with pytest.raises(InputError, match=f"; remove {tmp_path / 'step-0000010'}: resuming the run then"):
        checkpoints.load("best")


def test_what_is_saved_is_the_state_at_that_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_changed = threading.Event()

    def late(*arguments: Any) -> None:
        assert is_changed.wait(10)
        write_tensors(*arguments)

    monkeypatch.setattr(checkpoint, "write_tensors", late)
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2)
    weight, array = torch.ones(1000), np.ones(3)
    state = {"weight": weight, "tied": weight, "array": array, "position": {"step": 1}}
    checkpoints.save(1, state)
    weight.zero_()
    array[:] = 0
    state["position"]["step"] = 2
    assert not (tmp_path / "checkpoints" / "last").exists()  # it has returned before anything was written
    is_changed.set()
    loaded = checkpoints.load("last")
    assert (loaded["weight"].sum(), loaded["array"].sum(), loaded["position"]) == (1000, 3, {"step": 1})
    assert loaded["weight"] is loaded["tied"]


@pytest.mark.parametrize("look", ["check", "wait", "save"])
def test_a_save_that_failed_is_told_where_one_looks_next(tmp_path: Path, look: str) -> None:
    checkpoints = saved_at(tmp_path, 10)
    with largest_file(2000):
        checkpoints.save(20, {"weight": torch.ones(1_000_000)})
        for thread in threading.enumerate():
            if thread.name == "writer":
                thread.join()
    arguments: Any = (21, {"step": 21}) if look == "save" else ()
    with pytest.raises(InputError, match=r"step-0000020: no space left to write it"):
        getattr(checkpoints, look)(*arguments)
    checkpoints.check()  # it is told once
    assert checkpoints.load("last")["step"] == 10
    assert names(tmp_path) == ["last", "step-0000010"]


def test_no_checkpoint_is_an_input_error(tmp_path: Path) -> None:
    for which in ("last", "best"):
        with pytest.raises(InputError, match=f"checkpoints/{which}: no such checkpoint"):
            Checkpoints(tmp_path / "checkpoints", keep=1).load(which)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a small file system of its own")
def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    mount = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    script = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"'
    if (
        not shutil.which("unshare")
        or subprocess.run([*mount, script, str(tmp_path), "true"], capture_output=True).returncode
    ):
        pytest.skip("a file system cannot be mounted here")
    python = [sys.executable, "-W", "error", "-c", SAVE_ON_A_FULL_DISK, str(tmp_path)]
    command = [*mount, script, str(tmp_path), *python]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    message, state = result.stdout.splitlines()
    assert str(tmp_path / "checkpoints" / "step-0000002") in message
    assert state == "['last', 'step-0000001'] 1000"
