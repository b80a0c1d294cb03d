"""The words that the softmax can predict: three markers, then words by descending count."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from elmo.errors import InputError, shown
from elmo.files import atomic_write
from elmo.text.characters import BEGIN_TYPE, END_TYPE, NUM_MARKERS, TypeTable

MARKERS = ("<S>", "</S>", "<UNK>")
BEGIN_ID, END_ID, UNKNOWN_ID = range(3)
_TYPES_AT_ONCE = 1 << 16


class Vocabulary:
    """Words and their ids: `<S>` 0, `</S>` 1, `<UNK>` 2, then the others in order.

    Args:
        words: all words, the three markers first; none may be empty or occur twice.
        name: begins the error message; the file, if there is one.

    Raises:
        InputError: `name:line: fault`; a word's line is its id + 1.
    """

    def __init__(self, words: Iterable[str], *, name: str = "vocabulary") -> None:
        self.words = list(words)
        self._ids = _number(self.words, name)

    @classmethod
    def from_counts(
        cls, types: TypeTable, counts_V: np.ndarray, *, min_count: int, max_size: int | None
    ) -> Vocabulary:
        """The words that occur at least `min_count` times, by descending count, ties in the types' order.

        Args:
            types: the corpus's distinct words.
            counts_V: (V,) number of occurrences of each type.
            min_count: smallest count of a word in the vocabulary.
            max_size: largest number of ids, the three markers included; None: no limit.

        Raises:
            InputError: no word occurs often enough, or `max_size` is not above 3.
        """
        if max_size is not None and max_size <= len(MARKERS):
            raise InputError(f"vocabulary.max_size: {max_size} must be over 3, the number of markers")
        counts = np.asarray(counts_V)[NUM_MARKERS:]
        frequent = np.flatnonzero(counts >= min_count)
        kept = frequent[np.argsort(-counts[frequent], kind="stable")] + NUM_MARKERS
        words = (word for type_id in kept if (word := types.word(type_id)) not in MARKERS)
        room = None if max_size is None else max_size - len(MARKERS)
        vocabulary = cls([*MARKERS, *islice(words, room)])
        if len(vocabulary) == len(MARKERS):
            raise InputError(f"vocabulary.min_count: no word occurs {min_count} times or more")
        return vocabulary

    @classmethod
    def from_file(cls, path: Path) -> Vocabulary:
        """Reads a UTF-8 file of one word per line, as `save` and the original code write it.

        Raises:
            InputError: the file cannot be read, or `path:line:` what is wrong with it.
        """
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except OSError as error:
            raise InputError(f"vocabulary.path: {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise InputError(f"{path}:{line}: invalid UTF-8 (0x{error.object[error.start]:02x})") from error
        return cls(text.removesuffix("\n").split("\n"), name=str(path))

    def save(self, path: Path) -> None:
        """Writes one word per line in UTF-8, atomically."""
        with atomic_write(Path(path)) as aside:
            aside.write_text("\n".join(self.words) + "\n", encoding="utf-8", newline="\n")

    def __len__(self) -> int:
        return len(self.words)

    def ids_of(self, types: TypeTable) -> np.ndarray:
        """The id of each type of a corpus: 0 and 1 for its two markers, 2 for a word not in the vocabulary.

        A literal `<S>`, `</S>` or `<UNK>` in the text is not a marker; its id is 2 as well.

        Returns:
            (V,) int32.
        """
        known = {word.encode("utf-8", "surrogatepass"): index for word, index in self._ids.items()}
        for marker in MARKERS:
            known[marker.encode()] = UNKNOWN_ID
        ids = np.full(len(types), UNKNOWN_ID, dtype=np.int32)
        missing = len(known) - len(MARKERS)
        for start in range(0, len(types), _TYPES_AT_ONCE):
            if not missing:  # where types stand by count, all words are among the first
                break
            # converted at once: reading the arrays word by word would be 20 times slower
            offsets = types.offsets[start : start + _TYPES_AT_ONCE + 1]
            blob, bounds = types.blob[offsets[0] : offsets[-1]].tobytes(), (offsets - offsets[0]).tolist()
            own = ids[start : start + _TYPES_AT_ONCE]
            own[:] = [known.get(blob[begin:end], UNKNOWN_ID) for begin, end in pairwise(bounds)]
            missing -= int(np.count_nonzero(own != UNKNOWN_ID))
        ids[BEGIN_TYPE], ids[END_TYPE] = BEGIN_ID, END_ID
        return ids

    def coverage(self, ids: np.ndarray, counts_V: np.ndarray) -> float:
        """The fraction of a corpus's words that are in the vocabulary; `ids` is from `ids_of`, both (V,)."""
        counts = np.asarray(counts_V)[NUM_MARKERS:]
        return float(counts[ids[NUM_MARKERS:] != UNKNOWN_ID].sum() / max(1, counts.sum()))


def _number(words: list[str], name: str) -> dict[str, int]:
    """The id of each word; InputError for the first fault."""
    if tuple(words[: len(MARKERS)]) != MARKERS:
        raise InputError(
            f"{name}:1: must begin with the lines <S>, </S>, <UNK>, but begins with {shown(words[:3])}"
        )
    ids: dict[str, int] = {}
    for index, word in enumerate(words):
        if not word.strip():
            raise InputError(f"{name}:{index + 1}: empty word")
        if word in ids:
            raise InputError(f"{name}:{index + 1}: duplicate {word!r} (first on line {ids[word] + 1})")
        ids[word] = index
    return ids
