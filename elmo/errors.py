"""The one exception for faults in what the user gave: text, files, options, sizes."""

from __future__ import annotations


class InputError(ValueError):
    """A fault in the user's input, said in one line: what, where (`file:line` or config key), what to do.

    Commands print the line without a traceback and exit with code 2. Any other exception is a
    defect of the program.
    """
