"""Speed, and simulated comparisons: `python -m experiments.benchmark embed|prepare|statistics|train`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from experiments.benchmark.schema import BenchmarkTrainConfig
from experiments.config.command import BAD_INPUT, Main, run_command, while_read
from experiments.config.schema import BenchmarkEmbedConfig, BenchmarkPrepareConfig, BenchmarkStatisticsConfig


def prepare(config: BenchmarkPrepareConfig, overrides: list[str]) -> None:
    """Prepare a corpus in a temporary directory, and print the time of each split."""
    from experiments.benchmark.prepare import prepare as run  # late: importing torch takes a second

    run(config)


def embed(config: BenchmarkEmbedConfig, overrides: list[str]) -> None:
    """Measure the embedder at some batch sizes, relative to the machine's own limits."""
    from experiments.benchmark.embed import embed as run

    run(config)


def statistics(config: BenchmarkStatisticsConfig, overrides: list[str]) -> None:
    """Simulate comparisons of equal methods: false alarms of the tests, and what the intervals cover."""
    from experiments.benchmark.statistics import statistics as run

    run(config)


def train(config: BenchmarkTrainConfig, overrides: list[str]) -> int:
    """Measure the training of some sizes, relative to the machine's own limits; 1: a row is refused."""
    from experiments.benchmark.train import train as run

    return run(config)


COMMANDS: dict[str, Main] = {"embed": embed, "prepare": prepare, "statistics": statistics, "train": train}


def benchmark(arguments: Sequence[str]) -> int:
    """Run the benchmark that the first argument names, on its own config root, and return the exit code."""
    name = arguments[0] if arguments else "none"
    if name in COMMANDS:
        return run_command(COMMANDS[name], config_name=f"benchmark_{name}", arguments=arguments[1:])
    usage = f"python -m experiments.benchmark {'|'.join(COMMANDS)} [overrides]"
    if name in ("--help", "-h"):
        print(f"{usage}; each has its own --help")
        return 0
    print(f"benchmark: expected one of {', '.join(COMMANDS)}, got {name}; {usage}", file=sys.stderr)
    return BAD_INPUT


def command() -> int:
    """`elmo-benchmark`, which is `python -m experiments.benchmark`: the exit code."""
    return while_read(lambda: benchmark(sys.argv[1:]))


if __name__ == "__main__":
    sys.exit(command())
