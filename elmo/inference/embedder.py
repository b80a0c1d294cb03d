"""`ElmoEmbedder`: contextual vectors of tokenized sentences, as arrays.

Shape legend: S sentences, W words of the longest one, L layers with the context-free one as layer 0,
P projection.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from elmo.bilm.bilm import BiLm
from elmo.bilm.products import onednn_multiplies
from elmo.device import choose_device
from elmo.errors import InputError
from elmo.files import atomic_write
from elmo.inference.layer_choice import LayerChoice, Layers
from elmo.inference.progress_bar import with_progress_bar
from elmo.inference.runner import BatchPlan, SentenceRunner
from elmo.inference.sentence_stream import read_lines, windows
from elmo.inference.start_state import (
    CarriedState,
    MeasuringState,
    OwnState,
    StartState,
    WarmState,
    ZeroState,
)
from elmo.io.loading import fingerprint, load_bilm
from elmo.registry import suggest
from elmo.text.checked_input import checked_sentence, checked_sentences
from elmo.values import Size, Threads, range_faults
from elmo.version import __version__

LOG = logging.getLogger(__name__)
STATES = ("auto", "zero", "carried", "warm")
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
_CACHED_WORDS = 1 << 15  # covers most words of a text (Zipf's law); 64 MiB for the published sizes
_WINDOW_WORDS = 50_000  # words of a stream that are read ahead and sorted by length
_WINDOW_BYTES = 128 << 20  # limit for the vectors of such a window, which are all in memory at once


class ElmoEmbedder:
    """ELMo vectors of sentences of any lengths, from a pretrained model; without gradients.

    A sentence is a sequence of words (str). Its vectors depend only on its own words, never on the other
    sentences of a call or on earlier calls, except with `state="carried"`.

    An embedder can be copied and pickled, also for the workers of `datasets.map` and of scikit-learn: a copy
    reads the model's files again and continues from the same carried or warm state.

    Args:
        model: the directory of a finished run or of a model, the name of a published model such as
            `original`, or, together with `weights`, an official options.json.
        weights: the official HDF5 file that belongs to the options.
        layers: the layers that `embed_sentences` and `stream` return: `all`, `top`, `average`, a layer's
            number from 0 (the context-free one), or one weight per layer for their weighted sum.
        state: the initial state of the context layers. `auto`: every sentence starts from the model's own
            start state, which is zero unless its training carried the state from batch to batch. `zero`:
            every sentence starts from zeros. `carried`: as in the original code at inference, row r of a
            batch starts from the state after row r of the previous batch; a call of `embed_batch` or
            `embed_sentences` is one batch, its sentences the rows, while `stream` and `embed_file` read all
            sentences as one row. `warm`: every sentence starts from the mean state that `warm_up` measured.
        device: `auto` (an accelerator if there is one), `cpu`, `cuda`, `cuda:<number>`, `mps`.
        precision: `fp32`, or `bf16` for matrix products in bfloat16; the vectors are float32 in any case. On
            a CPU without fast bfloat16 products, `bf16` becomes `fp32`, with a warning.
        tokens_per_batch: number of tokens, markers included, that are computed at once. It bounds the memory
            and does not change the vectors.
        num_threads: torch's number of threads, for the whole process; None: unchanged.

    Attributes:
        num_layers: L.
        size: 2 P, size of a vector.
        state_path: the file of the stored warm state; it may not exist.

    Raises:
        InputError: a model that is missing or damaged, or a wrong argument.
    """

    def __init__(
        self,
        model: str | Path,
        weights: str | Path | None = None,
        *,
        layers: Layers = "average",
        state: str = "auto",
        device: str = "auto",
        precision: str = "fp32",
        tokens_per_batch: int = 4096,
        num_threads: int | None = None,
    ) -> None:
        _check_choice("state", state, STATES)
        _check_choice("precision", precision, PRECISIONS)
        faults = range_faults(tokens_per_batch, Size, "tokens_per_batch")
        faults += range_faults(num_threads, Threads, "num_threads")
        if faults:
            raise InputError(faults[0])
        if num_threads is not None:
            torch.set_num_threads(num_threads)
        self._arguments: dict[str, Any] = {
            "model": model,
            "weights": weights,
            "layers": layers,
            "state": state,
            "device": device,
            "precision": precision,
            "tokens_per_batch": tokens_per_batch,
            "num_threads": num_threads,
        }
        self._device = choose_device(device)
        self._bilm, self.state_path = load_bilm(model, weights)
        # absolute, as a copy may be made in another working directory
        self._files = {"model": _absolute(model), "weights": _absolute(weights)}
        self._bilm.requires_grad_(False).to(self._device)
        if state in ("carried", "warm") and not self._bilm.carries_state:
            raise InputError(f"state: {state!r}, but this model has no state to carry; use auto")
        self.num_layers, self.size = self._bilm.num_layers, 2 * self._bilm.projection_size
        self._choice = LayerChoice(layers, self.num_layers)
        self._all_layers = LayerChoice("all", self.num_layers)
        precision = _usable_precision(precision, self._device)
        self._model, self._precision, self._state_name = str(model), precision, state
        self._tokens_per_batch = tokens_per_batch
        self._fingerprint = fingerprint(self._bilm)  # before the runner releases weights
        self._runner = SentenceRunner(
            self._bilm,
            dtype=PRECISIONS[precision],
            max_tokens=tokens_per_batch,
            cached_words=_CACHED_WORDS,
            release_weights=True,
        )
        self._state = self._first_state()

    @property
    def metadata(self) -> dict[str, Any]:
        """Everything that determines the vectors except the sentences, in plain values for JSON."""
        return {
            "model": self._model,
            "fingerprint": self._fingerprint,
            "layers": self._choice.layers,
            "state": self._state_name,
            **({} if self._state is None else self._state.metadata()),
            "precision": self._precision,
            "versions": {"elmo": __version__, "torch": torch.__version__, "numpy": np.__version__},
        }

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self._arguments.items() if value is not None)
        return f"{type(self).__name__}({given}), {self.num_layers} layers of size {self.size}"

    def __reduce__(self) -> tuple[Any, ...]:
        # not the weights: their prepacked copies are of this process alone, and the files have them
        arguments = (type(self), {**self._arguments, **self._files}, self._fingerprint)
        own_state = {} if self._state is None else self._state.own()
        return _load_copy, arguments, own_state or None

    def __setstate__(self, own: dict[str, Any]) -> None:
        state = [part.to(self._device) for part in own["state"]]
        if self._state_name == "warm":
            self._state = WarmState(state, num_sentences=own["num_sentences"])
        else:
            self._state = CarriedState(self._bilm, state)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments; scikit-learn's `clone` makes a new embedder of them."""
        return dict(self._arguments)

    def set_params(self, **changed: Any) -> ElmoEmbedder:
        """Load the model again with some other arguments, as scikit-learn's searches for parameters do."""
        for name in changed:
            _check_choice("set_params", name, self._arguments)
        self.__init__(**{**self._arguments, **changed})  # type: ignore[misc]
        return self

    def embed_sentence(self, words: Sequence[str]) -> np.ndarray:
        """(L, words, 2 P) float32, all layers, like AllenNLP's method of this name."""
        return self._embed_list([checked_sentence(words, "sentence")])[0]

    def embed_batch(self, sentences: Iterable[Sequence[str]]) -> list[np.ndarray]:
        """For each sentence (L, words, 2 P) float32, all layers, like AllenNLP's method of this name."""
        return self._embed_list(list(checked_sentences(sentences)))

    def embed_sentences(
        self,
        sentences: Iterable[Sequence[str]],
        *,
        layers: Layers | None = None,
        as_torch: bool = False,
        progress: bool = False,
    ) -> np.ndarray | Tensor:
        """One array for all sentences, padded with zeros.

        Args:
            sentences: of any lengths; one without words is all zeros.
            layers: instead of the embedder's own choice.
            as_torch: return a tensor on the CPU instead of an array.
            progress: show a progress bar on standard error.

        Returns:
            (S, W, 2 P) float32, C-contiguous; (S, L, W, 2 P) with all layers.
        """
        words = list(checked_sentences(sentences))
        choice = self._choice_of(layers)
        longest = max(map(len, words), default=0)
        layer_axis = (self.num_layers,) if choice.stacked else ()
        padded = np.zeros((len(words), *layer_axis, longest, self.size), dtype=np.float32)
        found = self._embed_call(words, choice)
        for index, vectors in with_progress_bar(found, list(map(len, words))) if progress else found:
            padded[index, ..., : len(words[index]), :] = vectors
        return torch.from_numpy(padded) if as_torch else padded

    def stream(
        self, sentences: Iterable[Sequence[str]], *, layers: Layers | None = None
    ) -> Iterator[np.ndarray]:
        """The vectors of each sentence, in order and lazily: memory does not grow with the number of
        sentences.

        Args:
            sentences: any number of them; some ten thousand words are read ahead.
            layers: instead of the embedder's own choice.

        Returns:
            For each sentence (words, 2 P) float32, C-contiguous; (L, words, 2 P) with all layers.
        """
        return self._embed_stream(checked_sentences(sentences), self._choice_of(layers), self._start())

    def embed_file(
        self,
        input_path: str | Path,
        output_path: str | Path,
        *,
        layers: Layers = "all",
        sentences_stored: bool = True,
    ) -> None:
        """Embed a file of tokenized sentences, one per line, into an HDF5 file of AllenNLP's layout.

        Dataset "0" has the vectors of the first line, in the shape that `stream` returns, "1" those of the
        second, and so on. `sentence_to_index` is a JSON object from line to number; of equal lines it has the
        last. The attribute `metadata` is a JSON object. A blank line is a sentence without words. The file is
        written atomically and replaces an existing one.

        Args:
            sentences_stored: write `sentence_to_index`, for which all lines are kept in memory.

        Raises:
            InputError: a file cannot be read or written, or a line is not UTF-8 (`file:line:`).
        """
        choice = self._choice_of(layers)
        numbers: dict[str, str] = {}
        # through a Python file object: on a full disk, HDF5's own driver fails repeatedly and then crashes
        with atomic_write(Path(output_path)) as aside, aside.open("w+b") as raw, h5py.File(raw, "w") as file:
            lines = read_lines(Path(input_path), numbers if sentences_stored else None)
            for number, vectors in enumerate(self._embed_stream(lines, choice, self._start())):
                file.create_dataset(str(number), data=vectors)
            if sentences_stored:
                text = json.dumps(numbers, ensure_ascii=False)
                file.create_dataset("sentence_to_index", data=[text], dtype=h5py.string_dtype())
            file.attrs["metadata"] = json.dumps({**self.metadata, "layers": choice.layers})

    def warm_up(self, sentences: Iterable[Sequence[str]], *, saved: bool = False) -> None:
        """Set the start state of all later sentences to the mean of the states after these sentences.

        Args:
            sentences: typical ones; those without words are ignored.
            saved: also store the state at `state_path`, for later embedders with `state="warm"`.

        Raises:
            InputError: no sentence has a word, the embedder's state is not `warm`, or the file cannot be
                written.
        """
        if self._state_name != "warm":
            raise InputError(
                f"state: warm_up is for an embedder with state='warm', this has {self._state_name!r}"
            )
        measuring = MeasuringState(self._bilm)
        for _ in self._embed_stream(
            checked_sentences(sentences), LayerChoice("top", self.num_layers), measuring
        ):
            pass
        if not measuring.num_sentences:
            raise InputError("sentences: no sentence with words to warm up with")
        state = measuring.mean()
        if saved:
            state.save(self.state_path, fingerprint=self._fingerprint)
        self._state = state

    def forget(self) -> None:
        """Reset a carried state: the next batch starts from the model's own start state."""
        if self._state_name == "carried":
            self._state = self._first_state()

    def _first_state(self) -> StartState | None:
        """The state chosen by the argument `state`; None: a warm state that still has to be measured."""
        if self._state_name == "warm":
            if not self.state_path.exists():
                return None
            return WarmState.load(self.state_path, bilm=self._bilm, fingerprint=self._fingerprint)
        kinds: dict[str, Callable[[BiLm], StartState]] = {
            "auto": OwnState,
            "zero": ZeroState,
            "carried": CarriedState,
        }
        return kinds[self._state_name](self._bilm)

    def _start(self) -> StartState:
        if self._state is None:
            raise InputError(
                f"state: no warm state at {self.state_path}; call warm_up with typical sentences"
            )
        return self._state

    def _choice_of(self, layers: Layers | None) -> LayerChoice:
        return self._choice if layers is None else LayerChoice(layers, self.num_layers)

    def _embed_call(
        self, sentences: Sequence[Sequence[str]], choice: LayerChoice
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Index and vectors of each sentence that has words; the order is not that of the sentences."""
        start = self._start()
        plans = start.plan_call([len(sentence) for sentence in sentences], self._tokens_per_batch)
        return self._run(sentences, plans, start, choice)

    def _run(
        self,
        sentences: Sequence[Sequence[str]],
        plans: Iterable[BatchPlan],
        start: StartState,
        choice: LayerChoice,
    ) -> Iterator[tuple[int, np.ndarray]]:
        for index, arrays in self._runner.run(sentences, plans=plans, start=start, layers=choice):
            yield index, np.stack(arrays) if choice.stacked else arrays[0]

    def _embed_list(self, sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
        found = dict(self._embed_call(sentences, self._all_layers))
        empty = np.zeros((self.num_layers, 0, self.size), dtype=np.float32)
        return [found.get(index, empty) for index in range(len(sentences))]

    def _embed_stream(
        self, sentences: Iterable[list[str]], choice: LayerChoice, start: StartState
    ) -> Iterator[np.ndarray]:
        layer_axis = (self.num_layers,) if choice.stacked else ()
        empty = np.zeros((*layer_axis, 0, self.size), dtype=np.float32)
        word_bytes = empty.itemsize * self.size * (self.num_layers if choice.stacked else 1)
        for window in windows(sentences, min(_WINDOW_WORDS, _WINDOW_BYTES // word_bytes)):
            plans = start.plan_stream([len(sentence) for sentence in window], self._tokens_per_batch)
            found = dict(self._run(window, plans, start, choice))
            for index in range(len(window)):
                yield found.pop(index, empty)


def _check_choice(name: str, value: object, choices: Collection[str]) -> None:
    if value not in choices:
        raise InputError(f"{name}: unknown {value!r}{suggest(str(value), choices)}")


def _usable_precision(precision: str, device: torch.device) -> str:
    if precision == "bf16" and device.type == "cpu" and not onednn_multiplies(torch.bfloat16):
        LOG.warning("precision: this CPU has no fast bfloat16 products; fp32 is used instead")
        return "fp32"
    return precision


def _absolute(path: str | Path | None) -> str | Path | None:
    """A path as an absolute one; the name of a published model as it is."""
    return os.path.abspath(path) if path is not None and os.path.exists(path) else path


def _load_copy(cls: type[ElmoEmbedder], arguments: dict[str, Any], fingerprint: str) -> ElmoEmbedder:
    """An embedder of these arguments; InputError if its model is no longer that of the fingerprint."""
    copy = cls(**arguments)
    if copy._fingerprint != fingerprint:
        raise InputError(f"{arguments['model']}: has changed since the embedder that is copied has read it")
    return copy
