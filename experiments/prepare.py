"""A text prepared for training, or a part of it: `python -m experiments.prepare [prepare.part=3/16]`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from elmo.files import written_once
from experiments.config.command import run_command
from experiments.config.schema import PrepareConfig

if TYPE_CHECKING:
    from experiments.logging.progress import Progress
    from tasks.language_model.preparation import Part, Preparation


def main(config: PrepareConfig, overrides: list[str]) -> None:
    """Write the shards of a part that are missing, and the stores whose shards are all there."""
    from elmo.registry import REGISTRY
    from experiments.logging.progress import make_progress
    from tasks.language_model.preparation import Part, Preparation
    from tasks.language_model.task import build_source
    from tasks.sources.shared.split import SPLITS

    part = Part() if config.prepare.part is None else Part.from_text(config.prepare.part)
    source = build_source(config.data)
    source.check(SPLITS)
    tokenizer = REGISTRY.build("tokenizer", config.tokenizer)
    for split in SPLITS:
        preparation = Preparation(
            source, tokenizer, cache_path=Path(config.cache_dir), split=split, seed=config.seed
        )
        with make_progress(config.progress.value, title=f"preparing {split}") as progress:
            told = _prepare(preparation, part, config.prepare.num_workers, progress)
        print(f"{split}: {told}")


def _prepare(preparation: Preparation, part: Part, num_workers: int | None, progress: Progress) -> str:
    """Does what there is to do for a split; the line that says what was done."""
    if preparation.path.exists():
        return f"{preparation.path} (prepared before)"
    preparation.write_shards(
        part,
        num_workers=num_workers,
        progress=lambda tokens, sentences, fraction: progress.update(
            fraction=fraction or 0.0, tokens=tokens, sentences=sentences
        ),
    )
    if not preparation.is_complete():
        return f"part {part.index} of {part.number} is done; the one that ends last makes the store"
    with written_once(preparation.path):
        if not preparation.path.exists():  # another part may have ended at the same time
            preparation.merge()
    return str(preparation.path)


def command() -> int:
    """`elmo-prepare`, which is `python -m experiments.prepare`: the exit code."""
    return run_command(main, config_name="prepare")


if __name__ == "__main__":
    sys.exit(command())
