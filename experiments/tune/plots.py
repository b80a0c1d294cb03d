"""The pictures of a study: its history, the importance of its keys, and a slice for each of them.

Each is a PNG and a page of HTML in which one can point at the trials; the pages share a script beside them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna import visualization

from elmo.files import atomic_write
from experiments.tune.space import Numbers, Space
from experiments.tune.study import Study, Trial
from tasks.pictures import literal, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COMPLETE, BEST, OTHER = "#4477aa", "#cc3311", "#bbbbbb"  # colours
_COLUMNS = 3  # of slices beside each other


def importances(study: Study) -> dict[str, float]:
    """The share of each parameter in what the objective depends on, the largest first; empty if unknown.

    PED-ANOVA (Watanabe, Bansal and Hutter 2023), which compares the best tenth of the trials with all.
    """
    complete = [trial for trial in study.trials() if trial.state == "complete"]
    if len({trial.value for trial in complete}) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = optuna.importance.get_param_importances(study.optuna)
    return {name: share for name, share in found.items() if math.isfinite(share)}


def draw_study(path: Path, study: Study, *, metric: str) -> list[Path]:
    """Draw all pictures into a directory; those of a study without a complete trial have nothing to show.

    Returns the files.
    """
    trials = study.trials()
    complete = [trial for trial in trials if trial.state == "complete"]
    if not complete:
        return []
    path.mkdir(exist_ok=True)
    shares = importances(study)
    _draw_history(path / "history.png", trials, metric=metric, is_minimized=study.is_minimized)
    _draw_slices(path / "slices.png", complete, study.space, metric=metric)
    pages: dict[str, Any] = {
        "history": visualization.plot_optimization_history,
        "slices": visualization.plot_slice,
    }
    if shares:
        _draw_importances(path / "importance.png", shares, metric=metric)
        pages["importance"] = visualization.plot_param_importances
    for name, plot in pages.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            figure = plot(study.optuna, target_name=metric)
        with atomic_write(path / f"{name}.html") as aside:
            figure.write_html(aside, include_plotlyjs="directory")
    _keep_script(path)
    return [path / f"{name}.{kind}" for name in pages for kind in ("png", "html")]


def _keep_script(path: Path) -> None:
    """What draws the pages, for all of them, so that they can be looked at offline."""
    from plotly.offline import get_plotlyjs

    with atomic_write(path / "plotly.min.js") as aside:
        aside.write_text(get_plotlyjs(), encoding="utf-8")


def _draw_history(path: Path, trials: Sequence[Trial], *, metric: str, is_minimized: bool) -> None:
    best_of = min if is_minimized else max
    complete = [trial for trial in trials if trial.state == "complete"]
    pruned = [trial for trial in trials if trial.state == "pruned"]
    values = [float(trial.value or 0.0) for trial in complete]
    with picture(path, size=(6, 3.5)) as figure:
        axes = figure.subplots()
        last = [float(trial.value or 0.0) for trial in pruned]
        if pruned:
            axes.scatter([one.index for one in pruned], last, c=OTHER, s=14, label="pruned")
        axes.scatter([one.index for one in complete], values, c=COMPLETE, s=18, label="complete")
        best = [best_of(values[: end + 1]) for end in range(len(values))]
        axes.step([one.index for one in complete], best, c=BEST, where="post", label="best so far")
        axes.set_xlabel("trial")
        axes.set_ylabel(metric)
        axes.legend()


def _draw_importances(path: Path, shares: Mapping[str, float], *, metric: str) -> None:
    names = list(shares)[::-1]
    with picture(path, size=(6, 0.8 + 0.35 * len(names)), texts=names) as figure:
        axes = figure.subplots()
        axes.barh([literal(name) for name in names], [shares[name] for name in names], color=COMPLETE)
        axes.set_xlabel(f"importance for {metric}")
        axes.set_xlim(0, 1)


def _draw_slices(path: Path, trials: Sequence[Trial], space: Space, *, metric: str) -> None:
    keys = list(dict.fromkeys(parameter.key for parameter in space.parameters))
    num_columns = min(_COLUMNS, len(keys))
    num_rows = math.ceil(len(keys) / num_columns)
    texts = [text for trial in trials for text in (*trial.values, *trial.values.values())]
    with picture(path, size=(3.2 * num_columns, 2.8 * num_rows), texts=texts) as figure:
        grid = figure.subplots(num_rows, num_columns, squeeze=False, sharey=True)
        for axes in grid.flat[len(keys) :]:
            axes.set_axis_off()
        for key, axes in zip(keys, grid.flat, strict=False):
            _draw_slice(axes, key, trials, space)
        for row in grid:
            row[0].set_ylabel(metric)


def _draw_slice(axes: Axes, key: str, trials: Sequence[Trial], space: Space) -> None:
    """The objective against the values of a key, of the trials in which it has one."""
    from matplotlib.ticker import LogLocator, NullLocator

    domains = [parameter.domain for parameter in space.parameters if parameter.key == key]
    found = [(trial.values[key], float(trial.value or 0.0)) for trial in trials if key in trial.values]
    scores = [score for _, score in found]
    ranges = [domain for domain in domains if isinstance(domain, Numbers)]
    if ranges:
        axes.scatter([float(text) for text, _ in found], scores, c=COMPLETE, s=18)
        low, high = min(one.low for one in ranges), max(one.high for one in ranges)
        if any(one.log for one in ranges):
            axes.set_xscale("log")
            axes.set_xlim(low / 1.1, high * 1.1)
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if high / low > 30 else (1.0, 2.0, 5.0)))
            axes.xaxis.set_major_formatter(lambda value, position: f"{value:g}")
            axes.xaxis.set_minor_locator(NullLocator())
    else:
        options = list(dict.fromkeys(text for domain in domains for text in domain.examples()))
        axes.scatter([options.index(text) for text, _ in found], scores, c=COMPLETE, s=18)
        axes.set_xticks(range(len(options)), [literal(text) for text in options])
        axes.set_xlim(-0.5, len(options) - 0.5)
    axes.set_xlabel(literal(key))
