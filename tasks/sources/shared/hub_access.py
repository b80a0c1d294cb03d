"""Data sets of the Hugging Face hub: downloaded once, then available offline."""

from __future__ import annotations

from typing import Any

from elmo.errors import InputError
from elmo.io.reachability import can_reach


def load_split(
    name: str,
    *,
    config: str | None,
    revision: str | None,
    split: str,
    advice: str,
    streaming: bool = False,
) -> Any:
    """A split of a data set of the hub; quick InputError if it is neither reachable nor cached.

    `advice` is the end of the error message: what to do without the hub. With `streaming`, rows are read over
    the network as they are needed, and nothing is kept.
    """
    import datasets

    is_offline = datasets.config.HF_HUB_OFFLINE
    endpoint = datasets.config.HF_ENDPOINT
    # The library has no argument for this: in offline mode it uses its cache at once, without retries.
    datasets.config.HF_HUB_OFFLINE = is_offline or not can_reach(endpoint)
    try:
        return datasets.load_dataset(name, config, revision=revision, split=split, streaming=streaming)
    except (OSError, ValueError, RuntimeError) as error:  # not found, no such config or split, needs a script
        reason = " ".join(str(error).split())
        if datasets.config.HF_HUB_OFFLINE and isinstance(error, OSError):
            reason = f"{endpoint} cannot be reached and it is not in the cache"
        raise InputError(
            f"data.name: cannot load {name} ({config or 'default'}, {split}): {reason}; {advice}"
        ) from error
    finally:
        datasets.config.HF_HUB_OFFLINE = is_offline


def hub_label_names(feature: Any) -> list[str] | None:
    """The hub's names of a column's numbers, from 0; None if it has no class labels, nor lists of them."""
    import datasets

    if isinstance(feature, datasets.List):
        return hub_label_names(feature.feature)
    return list(feature.names) if isinstance(feature, datasets.ClassLabel) else None


def hub_class_names(feature: Any) -> dict[str, str] | None:
    """The same by the numbers as they are written."""
    names = hub_label_names(feature)
    return None if names is None else {str(number): name for number, name in enumerate(names)}
