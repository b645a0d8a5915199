"""What goes through a graph: JSON as text, or as a value whose text is written when it is read.

Steps that are models of the router's process hand over what they answer as it is. To everybody
else it is the JSON that it would have been: a condition, a service elsewhere and a client read its
text, which is written then, once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias


class Carried:
    """A JSON value that is not written yet.

    `value` is what its text would be read as, but that arrays may stand for lists of numbers. Who
    is given it changes nothing in it: others may be given the same.
    """

    __slots__ = ("_text", "_write", "value")

    def __init__(self, value: Any, write: Callable[[Any], bytes]) -> None:
        self.value = value
        self._write = write
        self._text: bytes | None = None

    def made(self, value: Any) -> Carried:
        """Return another value that is written in the same way: a part of this, or around one."""
        return Carried(value, self._write)

    def text(self) -> bytes:
        """Return it as JSON."""
        if self._text is None:
            self._text = self._write(self.value)
        return self._text


Body: TypeAlias = bytes | Carried


def text_of(body: Body) -> bytes:
    """Return a body as text."""
    return body.text() if isinstance(body, Carried) else body
