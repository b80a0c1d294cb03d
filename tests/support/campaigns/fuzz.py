"""Mutated files for all readers: `python -m campaigns.fuzz [--count N] [READER ...]` in tests/support.

Each mutation is read in a forked worker with limited memory and time. The only sound outcomes are success
and the project's own InputError with a short message; all others are findings, which are printed with the
seed that makes them again.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from campaigns.readers import READERS, Reader
from elmo.errors import InputError

SECONDS = 20  # of one mutation; a busy machine is slow
GIGABYTES = 4  # of memory that one mutation may take
LONGEST_MESSAGE = 2000
_BATCH = 50  # mutations of a forked worker


class Finding(NamedTuple):
    """An outcome that must not be: the mutation's number, and what happened."""

    number: int
    what: str


class Outcomes(NamedTuple):
    """What came of a reader's mutations."""

    reader: str
    counts: Counter[str]
    findings: list[Finding]


def run_campaign(reader: Reader, *, seed: int, numbers: Iterable[int]) -> Outcomes:
    """Read mutations of a reader's files, one after the other."""
    outcomes = Outcomes(reader.name, Counter(), [])
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{reader.name}-") as directory:
        base = Path(directory, "base")
        base.mkdir()
        reader.prepare(base)
        sound = next(_run_worker(reader._replace(mutate=lambda path, generator: None), base, seed, [0]))
        assert sound == (0, "success"), f"{reader.name}: the sound files are not read: {sound}"
        waiting = list(numbers)
        while waiting:
            done = 0
            for number, outcome in _run_worker(reader, base, seed, waiting[:_BATCH]):
                done += 1
                outcomes.counts[outcome.partition(":")[0]] += 1
                if not outcome.startswith(("success", "refused")):
                    outcomes.findings.append(Finding(number, outcome))
            waiting = waiting[done:]
    return outcomes


def read_mutation(reader: Reader, base: Path, *, seed: int, number: int) -> str:
    """The outcome of one mutation, in this process: `success`, `refused: message`, or what went wrong."""
    generator = random.Random(f"{reader.name} {seed} {number}")
    with tempfile.TemporaryDirectory(dir=base.parent) as scratch:
        place = Path(scratch, "files")
        shutil.copytree(base, place, symlinks=True)
        reader.mutate(place, generator)
        try:
            with open(os.devnull, "w") as silent, redirect_stdout(silent), redirect_stderr(silent):
                reader.read(place)
        except InputError as error:
            text = str(error)
            if len(text) > LONGEST_MESSAGE:
                return f"long message: {len(text)} characters: {text[:200]}"
            return f"refused: {text}"
        except Exception as error:
            return f"{type(error).__name__}: {str(error)[:200]} ({_place(error)})"
    return "success"


def _run_worker(reader: Reader, base: Path, seed: int, numbers: list[int]) -> Iterator[tuple[int, str]]:
    """The outcomes of some mutations; they end early at one that kills the worker."""
    results, sink = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(results)
        _work(reader, base, seed, numbers, sink)
    os.close(sink)
    done = 0
    with os.fdopen(results) as lines:
        for line in lines:
            yield numbers[done], json.loads(line)
            done += 1
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) or os.WEXITSTATUS(status):
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        what = (
            "hang"
            if number == signal.SIGALRM
            else f"crash by {signal.Signals(number).name}"
            if number
            else "exit"
        )
        yield numbers[done], f"{what}:"


def _work(reader: Reader, base: Path, seed: int, numbers: list[int], sink: int) -> None:
    code = 1
    try:
        faulthandler.disable()  # of pytest: a crash is told by its signal
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + GIGABYTES * 10**9,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        for number in numbers:
            signal.alarm(SECONDS)
            outcome = read_mutation(reader, base, seed=seed, number=number)
            signal.alarm(0)
            os.write(sink, (json.dumps(outcome) + "\n").encode())
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _place(error: Exception) -> str:
    """The last line of our own code, and the last of all, where an exception came from."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if any(f"/{room}/" in f.filename for room in ("elmo", "tasks", "experiments"))]
    return "; ".join(f"{Path(f.filename).name}:{f.lineno}" for f in [*ours[-1:], frames[-1]])


def main(arguments: list[str] | None = None) -> int:
    """Run the campaigns that were asked for and print a table; 1 if there are findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readers", nargs="*", choices=[*READERS, []], help="default: all")
    parser.add_argument("--count", type=int, default=1000, help="mutations of each reader")
    parser.add_argument("--first", type=int, default=0, help="number of the first mutation")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    num_findings = 0
    print(
        "| reader | mutations | success | refused | findings | seconds |\n|---|---|---|---|---|---|",
        flush=True,
    )
    for name in options.readers or READERS:
        started = time.monotonic()
        numbers = range(options.first, options.first + options.count)
        outcomes = run_campaign(READERS[name], seed=options.seed, numbers=numbers)
        counts, findings = outcomes.counts, outcomes.findings
        row: list[Any] = [name, counts.total(), counts["success"], counts["refused"], len(findings)]
        print(f"| {' | '.join(map(str, row))} | {time.monotonic() - started:.0f} |", flush=True)
        kinds = Counter(finding.what for finding in findings)
        for what, count in kinds.most_common(12):
            first = next(finding.number for finding in findings if finding.what == what)
            print(f"    {count} x {what} [--seed {options.seed} --first {first} --count 1]", flush=True)
        num_findings += len(findings)
    return 1 if num_findings else 0


if __name__ == "__main__":
    sys.exit(main())
