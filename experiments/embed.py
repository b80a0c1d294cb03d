"""ELMo vectors of a text: `python -m experiments.embed model=DIR input=FILE output=FILE.h5`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elmo.errors import InputError
from elmo.files import refuse_existing
from experiments.config.choices import StartState
from experiments.config.command import run_command
from experiments.config.schema import EmbedConfig

if TYPE_CHECKING:
    import numpy as np

    from elmo.inference.embedder import ElmoEmbedder
    from experiments.io.sentence_reader import Sentence, SentenceReader
    from experiments.io.vector_spool import VectorSpool

WINDOW_WORDS = 8_192  # words that are computed and committed together; a killed process loses at most these


def main(config: EmbedConfig, overrides: list[str]) -> None:
    """Embed all sentences, or continue an interrupted command, and write the output."""
    from elmo.device import choose_device
    from elmo.inference.embedder import ElmoEmbedder
    from elmo.registry import REGISTRY
    from experiments.io.sentence_reader import SentenceReader
    from experiments.io.vector_files import writer_of
    from experiments.training.process import set_up_process

    output = Path(config.output)
    write = writer_of(output)
    _check_output(output)
    tokenizer = REGISTRY.build("tokenizer", config.tokenizer)
    reader = SentenceReader(
        config.input,
        tokenizer=tokenizer,
        field=config.field,
        prose=config.prose,
        language=config.language,
    )
    embedder = ElmoEmbedder(
        config.model,
        config.weights,
        layers=int(config.layers) if config.layers.isdecimal() else config.layers,
        state=config.state.value,
        device=config.device,
        precision=config.precision.value,
        tokens_per_batch=config.tokens_per_batch,
    )
    # after loading the model: with these settings, its temporary memory would not be returned to the system
    set_up_process(num_threads=config.num_threads, device=choose_device(config.device))
    metadata = {**embedder.metadata, "dtype": config.dtype.value, "tokenizer": tokenizer.fingerprint()}
    with _open_spool(config, embedder, metadata) as spool:
        try:
            _embed_all(reader, embedder, spool, config.progress.value)
            _write(write, output, spool, metadata, config.progress.value)
        except KeyboardInterrupt:
            if not spool.is_empty and config.state is not StartState.carried:
                print(f"{spool.path} keeps what is done; the same command goes on", file=sys.stderr)
            raise
        spool.remove()
    print(f"{output}: {spool.num_sentences:,} sentences, {spool.num_words:,} words, layers={config.layers}")


def _check_output(path: Path) -> None:
    refuse_existing(path)
    parent = next(parent for parent in path.absolute().parents if parent.exists())
    if not parent.is_dir():
        raise InputError(f"{path}: cannot be written ({parent} is a file); choose another output")


def _write(
    write: Callable[..., None],
    path: Path,
    spool: VectorSpool,
    metadata: dict[str, Any],
    progress_kind: str,
) -> None:
    """Write the output from the spool."""
    from experiments.logging.progress import make_progress

    free = shutil.disk_usage(path.parent).free
    if free < spool.num_bytes:  # HDF5 cannot meet a full disk without leaving errors of its own behind
        raise InputError(
            f"{path}: {spool.num_bytes:,} bytes are to be written, {free:,} are free; make room, and the "
            "same command goes on"
        )
    with make_progress(progress_kind, title="writing") as progress:

        def rows() -> Iterator[tuple[list[str], np.ndarray]]:
            num_words = 0
            for number, (words, vectors) in enumerate(spool, start=1):
                yield words, vectors
                num_words += len(words)
                progress.update(fraction=number / spool.num_sentences, tokens=num_words, sentences=number)

        write(path, rows(), metadata=metadata)


def _open_spool(config: EmbedConfig, embedder: ElmoEmbedder, metadata: dict[str, Any]) -> VectorSpool:
    """The spool of the finished sentences, `output.partial`."""
    import numpy as np

    from experiments.io.vector_spool import VectorSpool

    output = Path(config.output)
    path = output.with_name(f"{output.name}.partial")
    if config.state is StartState.carried:  # the state is not kept: there is nothing to go on from
        shutil.rmtree(path, ignore_errors=True)
    settings = {key: value for key, value in metadata.items() if key != "model"}
    return VectorSpool(
        path,
        settings={**settings, "prose": config.prose, "language": config.language, "field": config.field},
        shape=(embedder.num_layers, -1, embedder.size) if config.layers == "all" else (-1, embedder.size),
        dtype=np.dtype(config.dtype.value),
    )


def _embed_all(
    reader: SentenceReader, embedder: ElmoEmbedder, spool: VectorSpool, progress_kind: str
) -> None:
    """Append the vectors of all sentences that are not yet in the spool, a window at a time."""
    from experiments.io.sentence_reader import windows
    from experiments.logging.progress import make_progress

    sentences = iter(reader)
    _skip_known(sentences, spool, reader.name)
    fraction = reader.fraction
    with make_progress(
        progress_kind, title="embedding", start_tokens=spool.num_words, start_fraction=fraction
    ) as progress:
        for window in windows(sentences, num_words=WINDOW_WORDS):
            before, fraction = fraction, reader.fraction
            vectors = embedder.stream([sentence.words for sentence in window])
            for done, (sentence, array) in enumerate(zip(window, vectors, strict=True), start=1):
                spool.append(sentence.words, array)
                progress.update(
                    fraction=before + (fraction - before) * done / len(window),
                    tokens=spool.num_words,
                    sentences=spool.num_sentences,
                )
            spool.commit()
    if not spool.num_sentences:
        raise InputError(f"{reader.name}: no sentence to embed")


def _skip_known(sentences: Iterator[Sentence], spool: VectorSpool, name: str) -> None:
    """Skip the sentences that are in the spool; InputError if the text is a different one."""
    known = spool.sentences() if spool.num_sentences else iter(())
    line = 0
    for words in known:
        sentence = next(sentences, None)
        line = line + 1 if sentence is None else sentence.line
        if sentence is None or sentence.words != words:
            raise InputError(
                f"{name}:{line}: not the text of the interrupted run; remove {spool.path} to start over"
            )


def command() -> int:
    """`elmo-embed`, which is `python -m experiments.embed`: the exit code."""
    return run_command(main, config_name="embed")


if __name__ == "__main__":
    sys.exit(command())
