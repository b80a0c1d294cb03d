"""How the kernels are compiled, and what happens where they cannot be."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from elmo.bilm.kernels import library
from elmo.bilm.kernels.library import kernels, softmax_in_place, use_kernels

needs_compiler = pytest.mark.skipif(kernels() is None, reason="no C compiler here")


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """Nothing is compiled yet, and everything is found out anew."""
    monkeypatch.setenv("ELMO_CACHE", str(tmp_path))
    kernels.cache_clear()
    yield monkeypatch
    kernels.cache_clear()


@needs_compiler
def test_they_are_compiled_once_and_kept(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert kernels() is not None
    (file,) = (tmp_path / "kernels").iterdir()
    before = file.stat().st_mtime_ns
    kernels.cache_clear()
    fresh.setattr(subprocess, "run", None)  # nothing to run
    assert kernels() is not None and file.stat().st_mtime_ns == before


def test_without_a_compiler_torch_computes(fresh: pytest.MonkeyPatch) -> None:
    fresh.delenv("CC", raising=False)
    fresh.setenv("PATH", "")
    assert kernels() is None and not use_kernels(torch.zeros(1))


@pytest.mark.parametrize("compiler", ["false", "true"])  # one that fails, and one that writes nothing
def test_a_compiler_that_does_not_work_is_the_same(
    compiler: str, fresh: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fresh.setenv("CC", compiler)
    assert kernels() is None


def test_a_cache_that_cannot_be_written_is_the_same(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    fresh.setenv("ELMO_CACHE", str(tmp_path / "file"))
    assert kernels() is None


def test_they_can_be_switched_off(fresh: pytest.MonkeyPatch) -> None:
    fresh.setenv("ELMO_KERNELS", "0")
    assert kernels() is None


@needs_compiler
def test_a_library_that_computes_something_else_is_not_used(
    fresh: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = tmp_path / "wrong.c"
    source.write_text("void cells_forward_float(void) {}")
    fresh.setattr(library, "_compile", lambda compiler, _, target: _build(compiler, source, target))
    assert kernels() is None


def _build(compiler: list[str], source: Path, target: Path) -> None:
    subprocess.run([*compiler, "-shared", "-fPIC", str(source), "-o", str(target)], check=True)


@pytest.mark.parametrize(
    "tensor", [torch.zeros(1, dtype=torch.float64), torch.zeros(1, device="meta"), torch.zeros(1).bfloat16()]
)
def test_they_compute_with_float32_on_a_cpu_alone(tensor: torch.Tensor) -> None:
    assert not use_kernels(torch.zeros(1), tensor)


@needs_compiler
@pytest.mark.parametrize("shape", [(3, 1), (5, 16), (7, 33), (2, 2003), (0, 4)])
def test_the_softmax_and_its_normalizer_are_torchs(shape: tuple[int, int]) -> None:
    scores = 20 * torch.randn(shape, generator=torch.Generator().manual_seed(1))
    softmax = scores.clone()
    normalizer = softmax_in_place(softmax)
    torch.testing.assert_close(softmax, scores.softmax(1), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(normalizer, scores.logsumexp(1), rtol=1e-6, atol=1e-6)


@needs_compiler
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("place", [0, 17])
def test_a_score_that_is_not_finite_is_seen_in_the_normalizer(value: float, place: int) -> None:
    scores = torch.zeros(2, 18)
    scores[1, place] = value
    normalizer = softmax_in_place(scores)
    assert normalizer[0].isfinite() and not normalizer[1].isfinite()
