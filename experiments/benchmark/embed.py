"""Measures the speed of embedding, relative to the machine's limits: `experiments.benchmark embed`."""

from __future__ import annotations

import functools
import itertools
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import torch

from elmo.bilm.bilm import build_bilm
from elmo.device import choose_device
from elmo.errors import InputError
from elmo.inference.embedder import ElmoEmbedder
from elmo.io.loading import load_bilm
from elmo.io.model_directory import save_model
from elmo.registry import REGISTRY
from elmo.text.sentence_splitting import split_sentences
from experiments.benchmark.machine_limits import product_peak, read_bandwidth, seconds
from experiments.config.schema import BenchmarkEmbedConfig
from experiments.io.environment import peak_memory_bytes
from experiments.logging.progress import make_progress, summary_table
from experiments.logging.report import write_figures
from experiments.training.process import set_up_process
from tasks.sources.text.source import Source

Model: TypeAlias = tuple[str | Path, str | None]  # arguments of an embedder: a model, or options and weights

_BATCHES = 16  # largest number of batches per batch size: small batches are slow, and few sentences suffice


def embed(config: BenchmarkEmbedConfig) -> None:
    """Measure the embedder at some batch sizes; print and write the figures."""
    device = choose_device(config.device)
    set_up_process(num_threads=config.num_threads, device=device)
    sentences = _read_sentences(config)
    figures = {"words_per_sentence": statistics.fmean(map(len, sentences))}
    with tempfile.TemporaryDirectory() as scratch:
        model = _model(config, Path(scratch))
        figures["seconds_to_first_vector"] = seconds(lambda: _embedder(config, model, sentences[-1]), device)
        figures |= _measure_batches(config, model, sentences, device)
        figures["peak_memory_bytes"] = peak_memory_bytes()  # before measuring the machine's limits
        figures |= _count(config, model)
    figures |= _compare(config, figures, device)
    _print(config, figures)
    if config.output is not None:
        write_figures(Path(config.output), figures)


def _read_sentences(config: BenchmarkEmbedConfig) -> list[list[str]]:
    """The first test sentences of the data that have words."""
    source, tokenizer = REGISTRY.build("data", config.data), REGISTRY.build("tokenizer", config.tokenizer)
    if not isinstance(source, Source):
        raise InputError("data: expected running text, such as data=sotu or data=text")
    source.check(["test"])
    texts = (
        sentence
        for batch in source.lines("test")
        for line in batch.lines
        for sentence in (split_sentences(line, language=source.language) if batch.prose else [line])
    )
    tokenized = filter(None, (tokenizer.tokenize(text) for text in texts))
    sentences = list(itertools.islice(tokenized, config.num_sentences))
    if len(sentences) < max(config.batch_sizes):
        raise InputError(
            f"num_sentences: {len(sentences)} sentences, fewer than the largest of batch_sizes; more data, or"
            " smaller batches"
        )
    return sentences


def _model(config: BenchmarkEmbedConfig, scratch: Path) -> Model:
    """The model to measure: the given one, or one with random weights, saved in a temporary directory."""
    if config.model is not None:
        return config.model, config.weights
    torch.manual_seed(0)
    model = torch.nn.ModuleDict({"encoder": build_bilm(config.encoder)})
    save_model(scratch / "model", config={"encoder": config.encoder}, model=model)
    return scratch / "model", None


def _embedder(config: BenchmarkEmbedConfig, model: Model, sentence: Sequence[str]) -> ElmoEmbedder:
    """A new embedder after its first sentence: its word cache contains only the words of this sentence."""
    path, weights = model
    embedder = ElmoEmbedder(path, weights, device=config.device, precision=config.precision.value)
    embedder.embed_sentences([sentence])
    return embedder


def _measure_batches(
    config: BenchmarkEmbedConfig, model: Model, sentences: Sequence[Sequence[str]], device: torch.device
) -> dict[str, float]:
    """Words per second of each batch size: the median of several runs, which alternate between the sizes."""
    runs = [size for _ in range(config.repeats) for size in config.batch_sizes]
    speeds: dict[int, list[float]] = {size: [] for size in config.batch_sizes}
    num_words = 0
    with make_progress(config.progress.value, title="embedding", unit="words") as progress:
        for number, size in enumerate(runs, start=1):
            embedder = _embedder(config, model, sentences[-1])
            chosen = sentences[: _BATCHES * size]
            batches = [chosen[start : start + size] for start in range(0, len(chosen), size)]
            elapsed = seconds(functools.partial(_embed_all, embedder, batches), device)
            speeds[size].append(sum(map(len, chosen)) / elapsed)
            num_words += sum(map(len, chosen))
            progress.update(fraction=number / len(runs), tokens=num_words)
    return {f"batch_{size}/words_per_second": statistics.median(found) for size, found in speeds.items()}


def _embed_all(embedder: ElmoEmbedder, batches: Sequence[Sequence[Sequence[str]]]) -> None:
    for batch in batches:
        embedder.embed_sentences(batch)


def _count(config: BenchmarkEmbedConfig, model: Model) -> dict[str, float]:
    """The model's FLOPs per word, and the bytes of weights that it reads for each recurrent step."""
    bilm = load_bilm(*model).bilm
    return {
        "flops_per_word": bilm.flops_per_word(),
        "bytes_per_step": bilm.context.recurrent_weights() * _dtype(config).itemsize,
    }


def _compare(
    config: BenchmarkEmbedConfig, figures: Mapping[str, float], device: torch.device
) -> dict[str, float]:
    """The machine's limits, and each batch size's speed relative to them."""
    compared = {
        "peak/flops_per_second": product_peak(_dtype(config), device),
        "peak/bytes_per_second": read_bandwidth(device),
    }
    for size in config.batch_sizes:
        speed = figures[f"batch_{size}/words_per_second"]
        effective = speed * figures["flops_per_word"]
        compared[f"batch_{size}/flops_per_second"] = effective
        compared[f"batch_{size}/share_of_peak"] = effective / compared["peak/flops_per_second"]
    if 1 in config.batch_sizes:
        steps_per_word = 1 + 2 / figures["words_per_sentence"]  # a sentence has two markers
        step = 1 / (figures["batch_1/words_per_second"] * steps_per_word)
        reading = figures["bytes_per_step"] / compared["peak/bytes_per_second"]
        compared |= {"batch_1/seconds_per_step": step, "batch_1/times_reading": step / reading}
    return compared


def _dtype(config: BenchmarkEmbedConfig) -> torch.dtype:
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[config.precision.value]


def _print(config: BenchmarkEmbedConfig, figures: Mapping[str, float]) -> None:
    rows: list[list[str | int | float | None]] = [
        [
            f"{size:,}",
            round(figures[f"batch_{size}/words_per_second"]),
            figures[f"batch_{size}/flops_per_second"] / 1e9,
            f"{figures[f'batch_{size}/share_of_peak']:.0%}",
        ]
        for size in config.batch_sizes
    ]
    summary_table(rows, columns=["batch size", "words/s", "GFLOP/s", "of the peak"])
    precision, threads = config.precision.value, torch.get_num_threads()
    print(
        f"{figures['words_per_sentence']:.1f} words per sentence,"
        f" {figures['flops_per_word'] / 1e6:,.0f} MFLOP per word, recomputed from its characters"
    )
    print(
        f"matrix products of {precision} peak at {figures['peak/flops_per_second'] / 1e9:,.0f} GFLOP/s,"
        f" memory is read at {figures['peak/bytes_per_second'] / 1e9:,.1f} GB/s, {threads} threads"
    )
    if 1 in config.batch_sizes:
        print(
            f"batch size 1: {figures['batch_1/seconds_per_step'] * 1e3:.1f} ms a step,"
            f" {figures['batch_1/times_reading']:.2f} times what reading the"
            f" {figures['bytes_per_step'] / 1e6:,.0f} MB of recurrent weights takes"
        )
    print(
        f"first vector after {figures['seconds_to_first_vector']:.1f} s,"
        f" peak memory {figures['peak_memory_bytes'] / 2**20:,.0f} MiB"
    )
