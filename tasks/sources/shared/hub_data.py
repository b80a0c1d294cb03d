"""A data set of the hub that tasks read, or local files in its place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from tasks.sources.shared.hub_access import load_split
from tasks.sources.shared.local_files import BATCH_SIZE
from tasks.sources.shared.remote_files import File
from tasks.sources.shared.rows import Row, rows_of
from tasks.sources.shared.split import SPLITS, Split, origin_of
from tasks.sources.shared.split_files import SplitFiles
from tasks.sources.shared.split_shares import SplitShares, Text

FileReader = Callable[[File, str], Iterable[Text]]  # a file, and the config key to name in errors
RowReader = Callable[[Iterator[Row], Mapping[Any, Any]], Iterable[Text]]  # rows, and the features of columns


class HubData:
    """The three splits: of the hub or, if there are local files of any split, of these; the others are taken
    off the training split.

    Args:
        name: of the data set on the hub, `owner/name`.
        config: the name of its configuration; None: the only one.
        revision: a branch or commit; None: the newest.
        hub_splits: the hub's name of each split; None: it has none.
        files: the local files.
        shares: that are taken off the training split.
    """

    def __init__(
        self,
        *,
        name: str,
        config: str | None,
        revision: str | None,
        hub_splits: Mapping[Split, str | None],
        files: SplitFiles,
        shares: SplitShares,
    ) -> None:
        self.name, self.config, self.revision = name, config, revision
        self._hub_splits, self._files, self._shares = hub_splits, files, shares

    def files(self, splits: Collection[Split] = SPLITS) -> dict[Split, list[File]]:
        """The local files that some splits are read from; none of the hub. InputError if one is missing."""
        given = self._files.given
        return self._files.find_all({origin_of(split, given) for split in splits}) if given else {}

    def describe(self, split: Split, *, files: Mapping[str, Any], columns: Any) -> dict[str, Any]:
        """All that determines a split's examples.

        Args:
            split: to describe.
            files: how local files are read.
            columns: the description of the columns that are read.
        """
        origin = origin_of(split, self._given)
        if self._files.given:
            where: dict[str, Any] = {"files": self._files.find(origin), **files}
        else:
            where = {"name": self.name, "config": self.config, "revision": self.revision}
            where["hub_split"] = self._hub_splits[origin]
        return where | {"columns": columns} | self._shares.describe(split, self._given)

    def take(
        self,
        split: Split,
        *,
        read_file: FileReader[Text],
        read_rows: RowReader[Text],
        strata: Callable[[Sequence[Text]], list[str]],
    ) -> Iterator[Text]:
        """A split's examples in order.

        Args:
            split: to read.
            read_file: reads a local file.
            read_rows: reads the hub's rows.
            strata: the stratum of each example, for splits that are taken off the training split.
        """

        def read(origin: Split) -> Iterator[Text]:
            if self._files.given:
                for path in self._files.find(origin):
                    yield from read_file(path, f"data.{origin}")
            else:
                yield from self._read_hub(str(self._hub_splits[origin]), read_rows)

        return self._shares.take(split, self._given, read, strata)

    @property
    def _given(self) -> tuple[Split, ...]:
        return self._files.given or tuple(split for split in SPLITS if self._hub_splits[split] is not None)

    def _read_hub(self, split: str, read_rows: RowReader[Text]) -> Iterable[Text]:
        advice = "local files will do: data.train='...' data.test='...'"
        data = load_split(self.name, config=self.config, revision=self.revision, split=split, advice=advice)
        return read_rows(rows_of(data.iter(batch_size=BATCH_SIZE), f"{self.name}:{split}"), data.features)
