"""Probes a biLM's layers: `python -m experiments.probe model=DIR probe=tags|senses`."""

from __future__ import annotations

import sys

from experiments.config.command import run_command
from experiments.probe.schema import ProbeConfig


def main(config: ProbeConfig, overrides: list[str]) -> None:
    """Probe the models, print the tables, and write them if wanted."""
    from experiments.probe.command import probe  # late: importing torch takes a second

    probe(config)


def command() -> int:
    """`elmo-probe`, which is `python -m experiments.probe`: the exit code."""
    return run_command(main, config_name="probe")


if __name__ == "__main__":
    sys.exit(command())
