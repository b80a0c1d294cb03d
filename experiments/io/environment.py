"""The record of a run's starts in environment.json: command, config, code, packages, machine, seed, data."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import torch

from elmo.errors import InputError
from elmo.files import atomic_write, json_text
from elmo.json_file import read_json
from elmo.values import read_record
from experiments.io.command_line import command_line

MOST_DIFF, MOST_UNTRACKED = 100_000, 100  # characters, files


@dataclass(frozen=True)
class _Record:
    """The content of `environment.json`."""

    starts: list[dict[str, Any]]


def describe_environment(
    *, seed: int, fingerprints: Mapping[str, str], files: Mapping[str, Any], device: str
) -> dict[str, Any]:
    """All that decides a run's figures besides its config, as plain values for JSON; no host or user name.

    Args:
        seed: of the run.
        fingerprints: of each split of the data.
        files: digests of the files that the run reads (see `experiments.records.input_files`).
        device: of the training.
    """
    return {
        "command": command_line(),
        "git": describe_git(),
        "python": platform.python_version(),
        "torch": torch.__version__,  # with the kind of its build
        "platform": platform.platform(),
        "packages": {d.name: d.version for d in sorted(distributions(), key=lambda d: d.name.lower())},
        "cpu": _processor_name(),
        "cores": os.cpu_count(),
        "usable_cores": _usable_cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "accelerators": _accelerators(),
        "device": device,
        "threads": torch.get_num_threads(),
        "thread_variables": {
            name: os.environ[name] for name in sorted(os.environ) if name.endswith("_NUM_THREADS")
        },
        "seed": seed,
        "data_fingerprints": dict(fingerprints),
        "files": dict(files),
    }


def read_starts(path: Path) -> list[dict[str, Any]]:
    """The starts of a run in their order, as `environment.json` has them; InputError: it is damaged."""
    try:
        return read_record(_Record, read_json(path), name=str(path)).starts
    except InputError as error:
        raise InputError(f"{error}; remove it to begin a new record") from error


def write_starts(path: Path, starts: Sequence[Mapping[str, Any]]) -> None:
    """Writes the starts of a run as JSON.

    Raises:
        InputError: the disk is full or the place cannot be written to.
    """
    with atomic_write(path) as aside:
        aside.write_text(json_text({"starts": list(starts)}, indent=2) + "\n", encoding="utf-8")


def describe_start(
    *,
    step: int,
    overrides: Sequence[str],
    config: Mapping[str, Any],
    seed: int,
    fingerprints: Mapping[str, str],
    files: Mapping[str, Any],
    device: str,
) -> dict[str, Any]:
    """One start of a run: when, from which step, by which command, with which config and where.

    Args:
        step: the steps that were done before.
        overrides: the user's own, of this start.
        config: the whole config that it ran with, as plain values.
        seed, fingerprints, files, device: see `describe_environment`.
    """
    return {
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "step": step,
        "overrides": list(overrides),
        **describe_environment(seed=seed, fingerprints=fingerprints, files=files, device=device),
        "config": dict(config),
    }


def describe_git() -> dict[str, Any] | None:
    """The commit of this code's checkout and what differs from it; None outside of one.

    `diff` is that of the tracked files, cut at `MOST_DIFF` characters and "" if `dirty` is false; `untracked`
    names further Python files, at most `MOST_UNTRACKED`.
    """
    here = Path(__file__)
    # The code may be installed below a repository that is not its own.
    if _git("ls-files", "--error-unmatch", here.name) is None:
        return None
    commit, diff = _git("rev-parse", "HEAD"), _git("diff", "--no-color", "--no-ext-diff", "HEAD")
    if commit is None:
        return None
    untracked = _git("ls-files", "--others", "--exclude-standard", "--full-name", ":/*.py") or ""
    cut = f"\n[cut after {MOST_DIFF:,} characters]" if len(diff or "") > MOST_DIFF else ""
    return {
        "commit": commit,
        "dirty": bool(diff),
        "diff": (diff or "")[:MOST_DIFF] + cut,
        "untracked": untracked.splitlines()[:MOST_UNTRACKED],
    }


def peak_memory_bytes() -> int:
    """The largest resident memory that this process ever had, memory-mapped pages included, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # What `getrusage` tells begins, on Linux, with the peak of the process that started this one.
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].removesuffix("kB")) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def peak_accelerator_memory_bytes() -> int:
    """The largest memory that tensors of this process ever had on one GPU, in bytes; 0 without one."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else range(0)
    return max((torch.cuda.max_memory_allocated(device) for device in devices), default=0)


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def _processor_name() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _usable_cores() -> int | None:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()


def _accelerators() -> list[dict[str, Any]]:
    properties = [torch.cuda.get_device_properties(device) for device in range(torch.cuda.device_count())]
    found: list[dict[str, Any]] = [
        {"name": each.name, "memory_bytes": each.total_memory} for each in properties
    ]
    if torch.backends.mps.is_available():
        found.append({"name": "Apple GPU (mps)", "memory_bytes": None})
    return found
