"""The paragraph that the checklists of ACL (Responsible NLP, section C) and NeurIPS (items 6 to 8) ask for.

Every number and name in it is one that the runs have stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from experiments.compare.comparison import Comparison
from experiments.compare.costs import device_of
from experiments.compare.differences import shown_value
from experiments.compare.reading import seconds_of
from experiments.io.run_record import RunRecord

_HEADINGS = {
    "acl": {
        "budget": "C1 (parameters, budget, infrastructure)",
        "setup": "C2 (experimental setup, hyperparameters)",
        "statistics": "C3 (descriptive statistics)",
        "packages": "C4 (packages)",
    },
    "neurips": {
        "setup": "Experimental setting (item 6)",
        "statistics": "Statistical significance (item 7)",
        "budget": "Compute resources (item 8)",
        "packages": "Code and packages",
    },
}
_PACKAGES = ("elmo-experiments", "torch", "numpy", "tokenizers", "datasets")
_SHOWN_VALUES = 8


def checklist(comparison: Comparison, kind: str) -> str:
    """The paragraphs of a comparison, each under the checklist's own heading; `kind` is acl or neurips."""
    runs = [run for group in comparison.groups for run in group.runs]
    parts = {
        "budget": _budget(comparison, runs),
        "setup": _setup(comparison, runs),
        "statistics": _statistics(comparison),
        "packages": _packages(runs),
    }
    return "\n\n".join(f"{heading}. {' '.join(parts[name])}" for name, heading in _HEADINGS[kind].items())


def _budget(comparison: Comparison, runs: Sequence[RunRecord]) -> Iterator[str]:
    trained, frozen = (
        [value for run in runs if (value := run.figures.get(f"facts/parameters_{kind}")) is not None]
        for kind in ("trained", "frozen")
    )
    if len(trained) == len(frozen) == len(runs):
        yield f"The models have {_range(trained)} trained and {_range(frozen)} frozen parameters."
    yield f"One run takes {_range(map(seconds_of, runs), '.0f')} seconds."
    yield f"All runs together took {comparison.hours:.2f} device-hours, pretraining included;"
    yield f"{comparison.lost_hours:.2f} of these were spent on runs that failed or did not finish."
    devices = Counter(device_of(run) for run in runs)
    told = "; ".join(f"{device}, {count} runs" for device, count in devices.most_common())
    memory = [run.starts[-1].get("memory_bytes") for run in runs if run.starts]
    sizes = sorted({round(size / 2**30) for size in memory if isinstance(size, int)})
    yield f"Infrastructure: {told}{f'; {_listed(sizes)} GiB of main memory' if sizes else ''}."


def _setup(comparison: Comparison, runs: Sequence[RunRecord]) -> Iterator[str]:
    sweep = comparison.sweep
    if sweep is not None and sweep.question:
        yield f"Question: {sweep.question.strip()}"
    jobs = [job for job in sweep.jobs if job.role == "job"] if sweep is not None else []
    axes = dict.fromkeys(axis for job in jobs for axis in job.axes)
    space = {axis: [job.axes.get(axis) for job in jobs] for axis in axes}
    space = space or {key: [group.key[key] for group in comparison.groups] for key in comparison.by}
    tried = f"{len(jobs)} trials" if comparison.is_study else f"{len(comparison.groups)} groups of runs"
    yield f"{tried} were tried."
    if space:
        yield f"Search space: {'; '.join(f'{key}: {_values(values)}' for key, values in space.items())}."
    metrics = {str(run.section("trainer").get("metric")) for run in runs}
    patience = {run.section("trainer").get("patience") for run in runs} - {None}
    stopping = (
        f", with early stopping after {_listed(sorted(patience))} evaluations without gain"
        if patience
        else ""
    )
    yield f"Of each run the checkpoint with the best {_listed(sorted(metrics))} was kept{stopping}."
    chosen = [comparison.groups[place] for place in comparison.chosen.values()]
    if len(comparison.groups) > len(chosen):
        labels = "; ".join(group.label for group in chosen)
        yield f"By the mean of {comparison.dev_metric}, {labels} would be chosen; test scores chose nothing."


def _statistics(comparison: Comparison) -> Iterator[str]:
    if comparison.is_study:
        yield f"Reported is {comparison.metric} of the trial with the best {comparison.dev_metric}, one run:"
        yield "trials of a search are no repetitions, so there are no error bars and no test."
        return
    numbers = sorted({group.num_units for group in comparison.groups})
    seeds = sorted(
        {str(seed) for group in comparison.groups for seed in group.seeds}, key=lambda s: (len(s), s)
    )
    yield f"Reported is the mean of {comparison.metric} over {_listed(numbers)} independent repetitions"
    more = ", ..." if len(seeds) > _SHOWN_VALUES else ""
    yield f"that differ in {_listed(comparison.over)} (seeds {_listed(seeds[:_SHOWN_VALUES])}{more})."
    if any(group.deviation is not None for group in comparison.groups):
        yield f"Error bars are {comparison.level:.0%} intervals of this mean by Student's t, two-sided."
    designs = dict.fromkeys(claim.retrained.design for claim in comparison.claims)
    tested = sum(claim.retrained.p is not None for claim in comparison.claims)
    if tested:
        yield f"Differences of retrained methods: {'; '.join(designs)}; two-sided, with Holm's correction"
        yield f"over {tested} pairs."
        smallest = [claim.smallest_difference for claim in comparison.claims]
        known = [value for value in smallest if value is not None]
        yield f"With a power of 80 % true differences from {_range(known, '.2f')} points are found."
    elif comparison.claims:
        yield "No difference of retrained methods was tested, as there are too few repetitions."
    examples = [claim.examples for claim in comparison.claims if claim.examples is not None]
    if examples:
        yield f"Differences of these models on new examples, a claim of its own: {examples[0].design};"
        yield f"with Holm's correction over {sum(each.p is not None for each in examples)} pairs."


def _packages(runs: Sequence[RunRecord]) -> Iterator[str]:
    starts = [run.starts[-1] for run in runs if run.starts]
    python = sorted({str(start.get("python")) for start in starts})
    versions = {
        name: sorted(
            {str(start["packages"][name]) for start in starts if name in (start.get("packages") or {})}
        )
        for name in _PACKAGES
    }
    told = [f"{name} {_listed(found)}" for name, found in versions.items() if found]
    yield f"Python {_listed(python)}, {', '.join(told)}."
    commits = sorted({str(start["git"].get("commit")) for start in starts if start.get("git")})
    if commits:
        yield f"Commit {_listed(commits)}."


def _range(values: Iterable[Any], form: str = ",") -> str:
    low, high = min(found := list(values)), max(found)
    return f"{low:{form}}" if f"{low:{form}}" == f"{high:{form}}" else f"{low:{form}} to {high:{form}}"


def _values(values: Sequence[Any]) -> str:
    """The values of a key: of many numbers their range."""
    known = list(dict.fromkeys(map(shown_value, values)))
    if len(known) <= _SHOWN_VALUES:
        return ", ".join(known)
    numbers = [value for value in values if isinstance(value, (int, float))]
    if len(numbers) == len(values):
        return f"{len(known)} values from {min(numbers):g} to {max(numbers):g}"
    return f"{', '.join(known[:_SHOWN_VALUES])}, ... ({len(known)} values)"


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(map(str, values))
