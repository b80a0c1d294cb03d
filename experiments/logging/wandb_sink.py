"""Logs a run's figures to Weights & Biases; its failures never stop the run."""

from __future__ import annotations

import glob
import logging
import netrc
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from experiments.io.run_directory import RunDirectory

LOG = logging.getLogger(__name__)
ONLINE_TIMEOUT_SECONDS = 20
PROJECT = "elmo"
_ID_FILE = "run-id.txt"
DEFAULT_HOSTS = {"api.wandb.ai", "api.forge.coreweave.com"}  # W&B's own service under its two names.


class WandbSink:
    """A W&B run in the run's directory; after the first failure it warns in one line and stops logging.

    It says in one line where the run goes. What it sends names no place of this machine: of paths in the
    config the last part stays, and W&B's own record of the machine (host, command line, paths of the program)
    is switched off; `environment.json` has it. W&B does take the commit, the names and versions of packages
    and the load of the machine.

    Args:
        mode: `online`, `offline` or `auto` (see `choose_mode`). A server that does not answer makes an
            online run an offline one.
        run: the directory; its name is the W&B run's name.
        project, entity, group, job_type, tags: of the W&B run. Those that are missing are taken from
            $WANDB_PROJECT (or else `elmo`), $WANDB_ENTITY, $WANDB_RUN_GROUP, $WANDB_JOB_TYPE and $WANDB_TAGS.
            A run of `wandb agent` has the project, the entity and the id that the agent gives it.
        config: plain containers.
        resumed: whether the run goes on; it keeps its W&B id then.
    """

    def __init__(
        self,
        *,
        mode: str,
        run: RunDirectory,
        project: str | None = None,
        entity: str | None = None,
        group: str | None = None,
        job_type: str | None = None,
        tags: Sequence[str] = (),
        config: Mapping[str, Any],
        resumed: bool = False,
    ) -> None:
        # Without this even an offline run asks for the address of W&B's error tracker.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        self._run: Any = None
        mode = choose_mode() if mode == "auto" else mode
        labels: dict[str, Any] = {"group": group, "job_type": job_type, "tags": list(tags) or None}
        if not is_agents_run():  # else these are the sweep's
            labels |= {"project": project or os.environ.get("WANDB_PROJECT") or PROJECT, "entity": entity}
        start = partial(self._start, run=run, labels=labels, config=config)
        if mode == "online":
            self._attempt(lambda: start(mode="online", resumed=resumed), "logging offline")
            if self._run is None:
                # Not `resumed`: W&B keeps the id of a start that failed for itself.
                self._attempt(lambda: start(mode="offline", resumed=False), "going on without it")
        elif mode == "offline":
            self._attempt(lambda: start(mode="offline", resumed=resumed), "going on without it")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        if self._run is not None:
            self._attempt(lambda: self._run.log(dict(values), step=step), "going on without it")

    def summarize(self, step: int, figures: Mapping[str, float]) -> None:
        if self._run is not None:
            self._attempt(lambda: self._replace_summary(step, figures), "going on without it")

    def show_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        if self._run is not None:
            self._attempt(lambda: self._log_table(name, columns, rows), "going on without it")

    def show_picture(self, name: str, path: Path) -> None:
        if self._run is not None:
            self._attempt(lambda: self._log_picture(name, path), "going on without it")

    def keep_model(self, path: Path) -> None:
        """Upload the model directory as an artifact; offline, nothing."""
        if self._run is not None and not self._run.offline:
            self._attempt(lambda: self._log_model(path), "going on without it")

    def close(self, *, failed: bool) -> None:
        run, self._run = self._run, None
        if run is not None:
            self._attempt(lambda: run.finish(exit_code=int(failed)), "its last rows may be missing")

    def _start(
        self,
        *,
        mode: str,
        run: RunDirectory,
        labels: Mapping[str, Any],
        config: Mapping[str, Any],
        resumed: bool,
    ) -> None:
        import wandb

        self._run = wandb.init(
            mode=mode,  # type: ignore[arg-type]
            **labels,
            name=run.path.name,
            id=None if is_agents_run() else _run_id(run.wandb_path, new=not resumed),
            dir=run.path,
            config=without_places(config),
            resume="allow" if resumed and mode == "online" else None,  # Offline, W&B only warns about it.
            reinit="finish_previous",
            settings=wandb.Settings(
                silent=True,
                console="off",
                init_timeout=ONLINE_TIMEOUT_SECONDS,
                host="",
                x_disable_meta=True,
            ),
        )
        if is_agents_run():
            _keep_id(run.wandb_path, self._run.id)
        if mode == "online":
            print(f"Weights & Biases: online, {self._run.url}")
        elif resumed:
            command = f"wandb sync --id {self._run.id} {run.wandb_path / 'offline-run-*'}"
            print(f"Weights & Biases: offline; `{command}` sends all of its starts")
        else:
            print(f"Weights & Biases: offline; `wandb sync {self._run.settings.sync_dir}` sends it")

    def _replace_summary(self, step: int, figures: Mapping[str, float]) -> None:
        """The figures, without the last values of what was logged; tables and pictures stay."""
        # W&B holds the last row back; if it came at the end, it would replace figures of the same names.
        self._run.log({}, step=max(step, self._run.step), commit=True)
        summary = self._run.summary
        for key in list(summary.keys()):
            is_figure = isinstance(summary[key], (int, float)) and not key.startswith("_")
            if is_figure and key not in figures:
                del summary[key]
        summary.update(dict(figures))

    def _log_picture(self, name: str, path: Path) -> None:
        import wandb

        self._run.log({f"plots/{name}": wandb.Image(str(path))})

    def _log_model(self, path: Path) -> None:
        import wandb

        artifact = wandb.Artifact(f"model-{self._run.id}", type="model")
        artifact.add_dir(str(path))
        self._run.log_artifact(artifact)

    def _log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        import wandb

        self._run.log({name: wandb.Table(columns=list(columns), data=[list(row) for row in rows])})
        if name.endswith("/confusion"):
            self._run.log({f"{name}_plot": _confusion_plot(rows)})

    def _attempt(self, action: Callable[[], object], consequence: str) -> None:
        try:
            action()
        except Exception as error:
            self._run = None
            first_line = (str(error).splitlines() or [type(error).__name__])[0]
            LOG.warning("Weights & Biases failed (%s); %s", first_line, consequence)


def _confusion_plot(rows: Sequence[Sequence[Any]]) -> Any:
    """W&B's own chart of a confusion matrix, from rows of a gold label and the counts of each prediction.

    `wandb.plot.confusion_matrix` would count the texts again.
    """
    import wandb

    labels = [row[0] for row in rows]
    columns = ["Actual", "Predicted", "nPredictions"]
    cells: list[list[Any]] = [
        [gold, label, count] for gold, *counts in rows for label, count in zip(labels, counts, strict=True)
    ]
    return wandb.plot_table(
        vega_spec_name="wandb/confusion_matrix/v1",
        data_table=wandb.Table(columns=[*columns], data=cells),
        fields={column: column for column in columns},
        string_fields={"title": "Confusion matrix"},
    )


def without_places(value: Any) -> Any:
    """A config's containers and values; of each local path or glob only the last part."""
    if isinstance(value, Mapping):
        return {key: without_places(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_places(item) for item in value]
    return Path(value).name if isinstance(value, str) and _is_place(value) else value


def _is_place(text: str) -> bool:
    """Whether it is a path here, and not a metric, a pattern, an address or a name of the hub."""
    if text.startswith(("/", "~", "./", "../", "file:")):
        return True
    return "/" in text and (os.path.exists(text) or (glob.has_magic(text) and bool(glob.glob(text))))


def choose_mode(environment: Mapping[str, str] = os.environ) -> str:
    """What `auto` means: $WANDB_MODE if set, or else `online` with an API key and `offline` without."""
    mode = environment.get("WANDB_MODE")
    if mode in ("online", "offline", "disabled"):
        return mode
    return "online" if environment.get("WANDB_API_KEY") or _in_netrc(environment) else "offline"


def _in_netrc(environment: Mapping[str, str]) -> bool:
    host = urlsplit(environment.get("WANDB_BASE_URL", "")).hostname
    wanted = {host} if host else DEFAULT_HOSTS
    try:
        hosts = netrc.netrc(environment.get("NETRC") or Path.home() / ".netrc").hosts
    except (OSError, RuntimeError, netrc.NetrcParseError):
        return False
    return not wanted.isdisjoint(hosts)


def is_agents_run(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether `wandb agent` has started this process, for a trial of a sweep of W&B's own."""
    return bool(environment.get("WANDB_SWEEP_ID"))


def _run_id(path: Path, *, new: bool) -> str:
    """The W&B id of the run, kept beside W&B's own files."""
    file = path / _ID_FILE
    if new or not file.exists():
        _keep_id(path, secrets.token_hex(4))
    return file.read_text(encoding="utf-8").strip()


def _keep_id(path: Path, run_id: str) -> None:
    path.mkdir(exist_ok=True)
    (path / _ID_FILE).write_text(f"{run_id}\n", encoding="utf-8")
