"""Data sets of the Hugging Face hub: downloaded once, then found without network."""

from __future__ import annotations

from typing import Any

from elmo.errors import InputError
from elmo.io.reachability import can_reach


def load_split(name: str, *, config: str | None, revision: str | None, split: str, advice: str) -> Any:
    """A split of a data set of the hub; InputError, at once, when it is neither reachable nor cached.

    `advice` ends the error's line: what to do without the hub.
    """
    import datasets

    is_offline = datasets.config.HF_HUB_OFFLINE
    endpoint = datasets.config.HF_ENDPOINT
    # The library has no argument for this: offline, it looks into its cache only and does not try for long.
    datasets.config.HF_HUB_OFFLINE = is_offline or not can_reach(endpoint)
    try:
        return datasets.load_dataset(name, config, revision=revision, split=split)
    except (OSError, ValueError, RuntimeError) as error:  # not found, no such config or split, needs a script
        reason = " ".join(str(error).split())
        if datasets.config.HF_HUB_OFFLINE and isinstance(error, OSError):
            reason = f"{endpoint} cannot be reached and it is not in the cache"
        raise InputError(
            f"data.name: cannot load {name} ({config or 'default'}, {split}): {reason}; {advice}"
        ) from error
    finally:
        datasets.config.HF_HUB_OFFLINE = is_offline
