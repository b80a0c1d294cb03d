"""What a reader of a comparison has to know besides its tables, a line each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments.compare.claims import MOST_PAIRED
from experiments.compare.comparison import Group
from experiments.compare.reading import Material, by_value, names
from experiments.io.run_record import RunRecord

_SHOWN_LABELS = 5


def remarks(
    material: Material, groups: Sequence[Group], *, has_baseline: bool, is_study: bool
) -> Iterator[str]:
    """The lines of a comparison's warnings.

    Args:
        material: its runs, and what was left out.
        groups: of it.
        has_baseline: whether the user named one.
        is_study: whether the runs are the trials of a search.
    """
    total = len(material.runs) + len(material.left_out)
    reasons: dict[str, list[Path]] = {}
    for path, reason, _ in material.left_out:
        reasons.setdefault(reason, []).append(path)
    for reason, paths in reasons.items():
        yield f"{len(paths):,} of {total:,} runs left out, {reason}: {names(paths)}"
    for what, value in (("versions", _version), ("commits", _commit)):
        found = by_value(material.runs, value)
        if len(found) > 1:
            parts = "; ".join(f"{version} ({len(paths):,} runs)" for version, paths in found.items())
            yield f"runs of {len(found)} {what} of the code: {parts}"
    single = [group.label for group in groups if group.num_units == 1]
    if is_study:
        yield "the trials of a search are no repetitions of one method: no interval, no test"
    elif single:
        yield f"one run (or biLM) says nothing of the spread, so no interval and no p: {_some(single)}"
    lonely = [group.label for group in groups if len(set(group.bilms)) == 1 and group.bilms[0] is not None]
    if lonely and not is_study:
        yield (
            f"one biLM each: {_some(lonely)}; what is claimed of them holds for it alone, and for the method"
            " with several pretrainings (over=[seed,init_from])"
        )
    for metric in dict.fromkeys(group.metric for group in groups if group.examples is None):
        without = [group for group in groups if group.examples is None and group.metric == metric]
        if len(groups) > 1 and not is_study:
            yield (
                f"no claim about new examples: not all runs have stored {metric} of each test example"
                f" ({names(run.path for group in without for run in group.runs)})"
            )
    crowded = max((sum(other.data_set == group.data_set for other in groups) for group in groups), default=0)
    if crowded > MOST_PAIRED and not has_baseline and not is_study:
        yield f"{crowded} groups: each is compared with the one chosen on dev; baseline=GROUP names another"


def _some(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - _SHOWN_LABELS:,} more" if len(labels) > _SHOWN_LABELS else ""
    return "; ".join(labels[:_SHOWN_LABELS]) + more


def _version(run: RunRecord) -> str:
    return str((run.starts[-1].get("packages") or {}).get("elmo-experiments")) if run.starts else "unknown"


def _commit(run: RunRecord) -> str:
    git = run.starts[-1].get("git") if run.starts else None
    if not git:
        return "unknown"
    return f"{str(git.get('commit'))[:10]}{' with changes' if git.get('dirty') else ''}"
