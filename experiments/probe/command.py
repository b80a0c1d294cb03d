"""The work of the command: reads the data, embeds it with each model, probes, prints and writes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from elmo.device import choose_device
from elmo.errors import InputError
from elmo.registry import REGISTRY
from experiments.compare.statistics.checks import package
from experiments.io.environment import describe_environment
from experiments.logging.progress import make_progress, summary_table
from experiments.probe.evidence import ModelFindings, find
from experiments.probe.files import write_files
from experiments.probe.kinds.probe import Material, Probe
from experiments.probe.schema import ProbeConfig
from experiments.probe.tables import tables_of
from experiments.probe.vectors import check_model, embed
from experiments.training.process import set_up_process
from tasks.sources.shared.fingerprint import fingerprint_of


def probe(config: ProbeConfig) -> list[ModelFindings]:
    """Probe the models of a config; print the tables, and write them if wanted.

    Raises:
        InputError: a model or the data is missing, damaged or of another kind.
    """
    asked: Probe = REGISTRY.build("probe", config.probe)
    source = REGISTRY.build("data", config.data)
    models = [config.model] if config.model is not None else config.models or []
    output = None if config.output is None else Path(config.output)
    package("scipy.special")  # which is needed at the end
    if output is not None and output.exists() and not output.is_dir():
        raise InputError(f"output: {output} is a file; give a directory")
    for model in models:
        check_model(model, config.weights)
    asked.check(source)
    set_up_process(num_threads=config.num_threads, device=choose_device(config.device))
    material = asked.read(source, seed=config.seed)
    findings = [_probe_model(config, model, material) for model in models]
    for table in tables_of(findings, material):
        summary_table(table.rows, columns=table.columns, title=table.title)
        print("\n".join(table.notes), end="\n\n")
    if output is not None:
        record = _record(config, models, asked.describe(source, seed=config.seed))
        write_files(findings, material, output, record=record)
        print(output)
    return findings


def _probe_model(config: ProbeConfig, model: str, material: Material) -> ModelFindings:
    device = choose_device(config.device)
    text = embed(
        model,
        config.weights,
        material.sentences,
        cache_path=Path(config.cache_dir) / "features",
        max_gigabytes=config.max_gigabytes,
        dtype=config.dtype.value,
        device=device,
        progress=config.progress.value,
    )
    with make_progress(
        config.progress.value, title=f"{Path(model).name}: probing", transient=True
    ) as display:
        views = material.measure(
            text.vectors, device=device, report=lambda done: display.update(fraction=done)
        )
    return find(
        model,
        text.fingerprint,
        [*views, material.baseline()],
        compared=material.compared,
        seed=config.seed,
    )


def _record(config: ProbeConfig, models: Sequence[str], parts: dict[str, Any]) -> dict[str, Any]:
    """What decides the results besides the models' weights, and where they were computed."""
    cache_path = Path(config.cache_dir)
    fingerprints = {part: fingerprint_of(facts, cache_path=cache_path) for part, facts in parts.items()}
    settings = {key: value for key, value in dataclasses.asdict(config).items() if key in ("probe", "data")}
    environment = describe_environment(
        seed=config.seed, fingerprints=fingerprints, files={}, device=str(choose_device(config.device))
    )
    return {**settings, "dtype": config.dtype.value, "environment": environment}
