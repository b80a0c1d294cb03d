"""The trainings that `experiments.benchmark train` measures, as overrides of `experiments.train`."""

from __future__ import annotations

from typing import NamedTuple

from experiments.benchmark.schema import Preset

# The original's training: carried state, sampled softmax, Adagrad with a rate of 0.2, a global norm of 10.
_ORIGINAL = [
    *("batching=stream", "batching.num_steps=20", "softmax=sampled", "softmax.sparse=true"),
    *("optimizer=adagrad", "schedule=constant", "task.loss_scale=20.0", "trainer.clip_norm=10.0"),
]


class Training(NamedTuple):
    """A training to measure.

    Attributes:
        overrides: of conf/train.yaml.
        num_types: of the vocabulary of a made-up text, markers included.
        words_per_step: at most; a made-up text is as long as some steps.
    """

    overrides: list[str]
    num_types: int
    words_per_step: int


PRESETS = {
    # what `python -m experiments.train` runs; its text has as many types that occur twice
    Preset.default: Training([], 15_000, 640),
    # the small trainings of the original code that it can be compared with on a laptop
    Preset.tiny: Training(
        [
            *_ORIGINAL,
            *("encoder=elmo_tiny", "encoder.projection_size=64", "softmax.num_samples=1024"),
            "trainer.batch_size=32",
        ],
        22_000,
        640,
    ),
    Preset.small: Training(
        [*_ORIGINAL, "encoder=elmo_small", "softmax.num_samples=1024", "trainer.batch_size=64"], 22_000, 1280
    ),
    # the rows of one of the original's three GPUs, with its vocabulary
    Preset.medium: Training([*_ORIGINAL, "encoder=elmo_medium", "trainer.batch_size=128"], 793_471, 2560),
    Preset.original: Training([*_ORIGINAL, "encoder=elmo_original", "trainer.batch_size=128"], 793_471, 2560),
}
# Predictions in each direction of the paper's training: ten epochs of the 1 Billion Word Benchmark.
ORIGINAL_TOKENS = 10 * (768_648_884 + 30_301_028)
