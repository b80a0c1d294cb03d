"""The precision of a training is what its device multiplies fast."""

from __future__ import annotations

import logging
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from regression import Regression, start

from experiments.training import precision
from experiments.training.precision import PRECISIONS, choose_dtype, has_bfloat16

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    precision._cpu_has_bfloat16.cache_clear()
    yield
    precision._cpu_has_bfloat16.cache_clear()


def test_a_processor_without_bfloat16_gets_fp32_with_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cpuinfo").write_text("processor: 0\nflags\t\t: fpu avx512f avx512vl avx512bw\n")
    monkeypatch.setattr(precision, "_CPU_FLAGS", tmp_path / "cpuinfo")
    monkeypatch.setattr(precision, "onednn_multiplies", lambda dtype: True)  # it emulates
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    with caplog.at_level(logging.WARNING):
        assert choose_dtype("bf16", CPU) == torch.float32
        assert choose_dtype("bf16", CPU, key="trainer.evaluation_precision") == torch.float32
    line, evaluation = caplog.messages
    assert evaluation.startswith("trainer.evaluation_precision=bf16: this processor has no")
    assert line == ("trainer.precision=bf16: this processor has no instructions for it; fp32 is used instead")
    assert choose_dtype("auto", CPU) == choose_dtype("fp32", CPU) == torch.float32
    assert len(caplog.messages) == 2


def test_a_processor_with_bfloat16_computes_in_it_if_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text("processor: 0\nFeatures\t: fp asimd bf16\n")
    monkeypatch.setattr(precision, "_CPU_FLAGS", tmp_path / "cpuinfo")
    monkeypatch.setattr(precision, "onednn_multiplies", lambda dtype: dtype == torch.bfloat16)
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert choose_dtype("bf16", CPU) == torch.bfloat16
    assert choose_dtype("auto", CPU) == torch.float32


@pytest.mark.parametrize(
    ("capability", "dtype"), [((7, 5), torch.float32), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)]
)
def test_auto_is_bfloat16_on_gpus_that_have_it(
    capability: tuple[int, int], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_dtype("auto", CUDA) == choose_dtype("bf16", CUDA) == dtype
    assert has_bfloat16(CUDA) == (dtype == torch.bfloat16)


def test_the_precision_of_evaluations_changes_the_scores_and_not_the_training(tmp_path: Path) -> None:
    found = []
    for name, dtype in PRECISIONS.items():
        run = start(Regression(), tmp_path / name)
        run.trainer.evaluation_dtype = dtype
        score = run.train()["dev/error"]
        found.append((score, [values["train/loss"] for _, values in run.events if "train/loss" in values]))
    (exact, losses), (rough, same) = found
    assert losses == same
    assert 0 < abs(rough - exact) < 0.05 * exact
