"""How the command line speaks: errors with exit codes, tables, colour only where it is wanted.

Exit codes: 0 done, 1 the user's object or request is wrong, 2 usage, 3 the system failed.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

Verb = TypeVar("Verb", bound=Callable[..., Any])

USER, USAGE, SYSTEM = 1, 2, 3


class CliError(Exception):
    """Ends the command with a message on standard error and an exit code."""

    def __init__(self, message: str, code: int = USER) -> None:
        super().__init__(message)
        self.code = code

    @property
    def message(self) -> str:
        """What is written: what is wrong, with which value, and what mends it."""
        return str(self)


def guarded(verb: Verb) -> Verb:
    """Turn a verb's `CliError` into a message and an exit code, and Ctrl-C into 130."""

    @functools.wraps(verb)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return verb(*args, **kwargs)
        except CliError as error:
            complain(error.message)
            raise SystemExit(error.code) from None
        except KeyboardInterrupt:
            raise SystemExit(130) from None
        except BrokenPipeError:
            # The reader went away (`sampan get ... | head`): not an error of ours.
            _discard_output()
            raise SystemExit(0) from None

    return run  # type: ignore[return-value]  # same signature, by functools.wraps


def complain(message: str) -> None:
    """Write an error to standard error; the word is red on a terminal."""
    _tell(f"{paint('error:', '31', sys.stderr)} {message}\n")


def warn(message: str) -> None:
    """Write a warning to standard error; the word is yellow on a terminal."""
    _tell(f"{paint('warning:', '33', sys.stderr)} {message}\n")


def say(message: str = "") -> None:
    """Write a line to standard output at once; raise CliError where it cannot be written."""
    if sys.stdout is None:  # Python's sign that the descriptor was closed (`>&-`)
        raise CliError("standard output is closed; leave it open or give /dev/null", SYSTEM)
    try:
        sys.stdout.write(f"{message}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _discard_output()
        text = f"standard output cannot be written: {error.strerror}; see to the disk it goes to"
        raise CliError(text, SYSTEM) from error


def note(message: str) -> None:
    """Write a line of progress to standard error at once."""
    _tell(f"{message}\n")


def _tell(text: str) -> None:
    """Write to standard error; where that is closed or full there is nobody left to tell."""
    with contextlib.suppress(OSError):
        if sys.stderr is not None:
            sys.stderr.write(text)
            sys.stderr.flush()


def _discard_output() -> None:
    """Let what is still buffered go nowhere, or the interpreter would complain of it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def colourful(stream: Any = None) -> bool:
    """Tell whether to colour: a terminal, and neither NO_COLOR nor TERM=dumb."""
    stream = stream or sys.stdout
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(stream.isatty())


def paint(text: str, code: str, stream: Any = None) -> str:
    """Return the text in an ANSI colour where colours are wanted."""
    return f"\x1b[{code}m{text}\x1b[0m" if colourful(stream) else text


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return kubectl's kind of table: columns three spaces apart, no rules, no trailing blanks."""
    lines = [list(header), *[list(r) for r in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    padded = [
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join(padded)
