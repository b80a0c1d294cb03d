"""What a run depended on: code, packages, machine, threads, seed, data; written to environment.json."""

from __future__ import annotations

import json
import os
import platform
import resource
import shlex
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import torch

from elmo.files import write_aside


def describe_environment(*, seed: int, fingerprints: Mapping[str, str]) -> dict[str, Any]:
    """All that decides a run's figures besides its config, as plain values for JSON; no host or user name.

    Args:
        seed: of the run.
        fingerprints: of each prepared corpus, by split.
    """
    return {
        "command": command_line(),
        "git": describe_git(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {d.name: d.version for d in sorted(distributions(), key=lambda d: d.name.lower())},
        "cpu": _processor_name(),
        "cores": os.cpu_count(),
        "usable_cores": _usable_cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "accelerators": _accelerators(),
        "threads": torch.get_num_threads(),
        "thread_variables": {
            name: os.environ[name] for name in sorted(os.environ) if name.endswith("_NUM_THREADS")
        },
        "seed": seed,
        "data_fingerprints": dict(fingerprints),
    }


def write_environment(path: Path, *, seed: int, fingerprints: Mapping[str, str]) -> None:
    """Writes `describe_environment` as JSON.

    Raises:
        InputError: the disk is full or the place cannot be written to.
    """
    environment = describe_environment(seed=seed, fingerprints=fingerprints)
    with write_aside(path) as aside:
        aside.write_text(json.dumps(environment, indent=2) + "\n", encoding="utf-8")


def command_line() -> str:
    """The command that started this process, without the places of the interpreter and of the program."""
    specification = getattr(sys.modules["__main__"], "__spec__", None)
    program = f"-m {specification.name}" if specification else shlex.quote(Path(sys.argv[0]).name)
    return f"python {program} {shlex.join(sys.argv[1:])}".strip()


def describe_git() -> dict[str, Any] | None:
    """The commit of this code's checkout and whether tracked files differ; None outside of one."""
    here = Path(__file__)
    # The code may be installed below a repository that is not its own.
    if _git("ls-files", "--error-unmatch", here.name) is None:
        return None
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")
    return None if commit is None else {"commit": commit, "dirty": bool(changes)}


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
        result = subprocess.run(command, capture_output=True, text=True, timeout=20)
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
