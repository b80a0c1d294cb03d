"""Speed of the softmaxes on one thread, and what evaluating in bf16 changes.

`PYTHONPATH=.:tests/support python -m campaigns.softmax_speed [RUN CORPUS]` prints seconds of this thread, the
best of several; with a run and a prepared corpus (a directory of the cache), also the perplexity of the run's
model on it in both precisions. With PYTHONPATH at another version, the same of that version.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from elmo.bilm.softmaxes.adaptive import AdaptiveSoftmax
from elmo.bilm.softmaxes.full import FullSoftmax
from elmo.bilm.softmaxes.sampled import SampledSoftmax
from elmo.bilm.softmaxes.softmax import Softmax
from elmo.io.model_directory import read_model
from elmo.registry import REGISTRY
from experiments.training.optimization.row_sparse import Adagrad
from tasks.language_model.batching.sentences import SentenceBatching
from tasks.language_model.corpus import Corpus
from tasks.language_model.model import load_language_model, make_builder, perplexities

ADAGRAD = {"lr": 0.2, "initial_accumulator_value": 1.0, "eps": 0.0}


def best(function: Callable[[], object], times: int) -> float:
    """Seconds of this thread, after a first call."""
    function()
    found = []
    for _ in range(times):
        started = time.thread_time()
        function()
        found.append(time.thread_time() - started)
    return min(found)


def targets_of(num_types: int, num_tokens: int) -> np.ndarray:
    """(2, N) log-uniform ids, as words are distributed."""
    rng = np.random.default_rng(0)
    return np.exp(rng.random((2, num_tokens)) * np.log(num_types)).astype(np.int64)


def evaluation(num_types: int, num_tokens: int, dtype: torch.dtype) -> None:
    """Exact log-probabilities of vectors of 512."""
    softmax = FullSoftmax(input_size=512, num_types=num_types)
    vectors, targets = (
        torch.randn(2, num_tokens, 512),
        torch.from_numpy(targets_of(num_types, num_tokens)),
    )
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        seconds = best(
            lambda: softmax.log_probabilities(vectors, targets), times=1 if num_types > 10**5 else 3
        )
    speed, peak = 2 * num_tokens / seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    flops = speed * 2 * 512 * num_types / 1e9
    print(
        f"evaluation, {num_types:,} words x 512, {dtype}: {speed:,.0f} predictions/s, {flops:.0f} GFLOP/s,"
        f" peak {peak:.2f} GiB",
        flush=True,
    )


def training(name: str, softmax: Softmax, size: int, num_types: int) -> None:
    """Loss and gradients of 32 x 20 tokens in both directions."""
    vectors = torch.randn(2, 640, size, requires_grad=True)
    plan = softmax.plan(targets_of(num_types, 640), np.random.default_rng(0))

    def step() -> None:
        vectors.grad = None
        softmax.zero_grad()
        softmax(vectors, plan).backward()

    print(f"training, {name}, {num_types:,} words x {size}: {1e3 * best(step, 5):.1f} ms", flush=True)


def optimizer() -> None:
    """A step of Adagrad with 18,000 of 800,000 rows."""
    table = torch.nn.Parameter(torch.zeros(800_000, 512))
    rows = torch.randperm(len(table))[:18_000].sort().values
    values = torch.randn(len(rows), 512)
    for cls in (torch.optim.Adagrad, Adagrad):
        made = cls([table], **ADAGRAD)
        table.grad = torch.sparse_coo_tensor(
            rows[None], values, table.shape, is_coalesced=True, check_invariants=False
        )
        print(
            f"{cls.__module__}.Adagrad, 18,000 of 800,000 x 512: {1e3 * best(made.step, 3):.1f} ms",
            flush=True,
        )


def precisions(run: str, corpus_path: str) -> None:
    """Perplexity and speed of a run's model on a prepared corpus, in fp32 and bf16."""
    REGISTRY.discover("elmo", "tasks")
    model, vocabulary = load_language_model(read_model(Path(run)), name=run)
    corpus = Corpus(Path(corpus_path))
    for dtype in (torch.float32, torch.bfloat16):
        batches = SentenceBatching(num_steps=20, batch_size=32).evaluation_batches(
            corpus, make_builder(corpus, vocabulary, model)
        )
        started = time.process_time()
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            figures = perplexities(model, batches, device=torch.device("cpu"))
        speed = figures["dev/predictions"] / (time.process_time() - started)
        print(f"{dtype}: {figures}, {speed:,.0f} words/s of one core", flush=True)


def main() -> None:
    """All figures."""
    torch.set_num_threads(1)
    with torch.no_grad():
        for num_types, num_tokens in ((10_000, 640), (793_471, 320)):
            for dtype in (torch.float32, torch.bfloat16):
                evaluation(num_types, num_tokens, dtype)
    training(
        "adaptive", AdaptiveSoftmax(input_size=128, num_types=20_000, cutoffs=None, shrink=2.0), 128, 20_000
    )
    training("full", FullSoftmax(input_size=256, num_types=20_000), 256, 20_000)
    sampled = SampledSoftmax(input_size=128, num_types=100_000, num_samples=8192, sparse=True)
    training("sampled", sampled, 128, 100_000)
    optimizer()


if __name__ == "__main__":
    if sys.argv[1:]:
        precisions(*sys.argv[1:])
    else:
        main()
