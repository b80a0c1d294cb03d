"""The storage of studies: a database, whose faults are one line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import OptunaError
from optuna.storages import RDBStorage
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from elmo.errors import InputError, reason_of

CREATION_SECONDS = 1.0  # in which another command, begun at the same moment, has created the tables
LOCK_SECONDS = 30  # for which a file of SQLite may be locked by another process


class StorageError(InputError):
    """The storage cannot be read or written now; what runs can go on later."""


def open_storage(url: str, *, new: bool = False) -> RDBStorage:
    """The storage, in which tables are created if it may be `new`; StorageError if it cannot be reached."""
    options = {"connect_args": {"timeout": LOCK_SECONDS}} if url.startswith("sqlite") else {}
    with storage_faults(url):
        try:
            return RDBStorage(url, engine_kwargs=options, skip_table_creation=not new)
        except (OptunaError, DBAPIError):
            if not new:
                raise
        time.sleep(CREATION_SECONDS)
        return RDBStorage(url, engine_kwargs=options)


@contextmanager
def storage_faults(url: str) -> Iterator[None]:
    """Within the block, what the storage refuses is a StorageError of one line."""
    try:
        yield
    except (OptunaError, SQLAlchemyError, ImportError, KeyError) as error:
        raise StorageError(
            f"storage={_shown(url)}: {_reason(error)}; what the trials have saved is kept, and the same"
            " command goes on when the storage can be used again"
        ) from error


def _shown(url: str) -> str:
    """The URL without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return url


def _reason(error: BaseException) -> str:
    """What the database itself says."""
    cause = error.__cause__ or error.__context__
    if isinstance(error, OptunaError) and isinstance(cause, Exception):
        return _reason(cause)
    if isinstance(error, DBAPIError) and isinstance(error.orig, Exception):
        return reason_of(error.orig)
    return reason_of(error) if isinstance(error, Exception) else str(error)
