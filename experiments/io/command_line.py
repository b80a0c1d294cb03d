"""The command that started this process, as its reader would write it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def command_line() -> str:
    """The command that started this process, without the places of the interpreter and of the program."""
    specification = getattr(sys.modules["__main__"], "__spec__", None)
    program = (
        f"-m {specification.name.removesuffix('.__main__')}"
        if specification
        else shlex.quote(Path(sys.argv[0]).name)
    )
    return f"python {program} {shlex.join(sys.argv[1:])}".strip()
