"""Kubernetes quantities (`500m`, `1.5Gi`, `2e3`): read and compared exactly, written canonically.

The rules are those of `resource.Quantity` (Kubernetes API, "Quantity"): finer than a nano is
rounded up, the canonical form has no fraction and the largest suffix that keeps it whole, and a
binary quantity between -1024 and 1024 is written in decimal form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import ROUND_UP, Context, Decimal
from enum import Enum, auto

_EXACT = Context(prec=200)
"""Enough digits for the longest text that is read, times 2^60."""

_LONGEST = 64
_NANO = Decimal("1e-9")
_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([a-zA-Z]*|[eE][+-]?\d{1,2})", re.ASCII)
_EXPONENT = re.compile(r"[eE]([+-]?\d+)")

_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL_SUFFIX = {power: suffix for suffix, power in _DECIMAL.items()}
_BINARY_SUFFIX = {power: suffix for suffix, power in _BINARY.items()} | {0: ""}


class QuantityError(ValueError):
    """The text is no quantity; the message is for people."""


class Form(Enum):
    """How a quantity is written."""

    DECIMAL = auto()
    BINARY = auto()
    EXPONENT = auto()


@dataclass(frozen=True, slots=True, order=True)
class Quantity:
    """An exact number, and the form it was written in. Equal when the numbers are."""

    value: Decimal
    form: Form = field(default=Form.DECIMAL, compare=False)

    def __str__(self) -> str:
        """Return the canonical form: `1500m` for "1.5", `1536Mi` for "1.5Gi"."""
        if not self.value:
            return "0"
        if self.form is Form.BINARY and abs(self.value) >= 1024:
            return _binary(self.ceiling())
        mantissa, power = _whole(self.value)
        if self.form is Form.EXPONENT:
            return f"{mantissa}e{power}" if power else str(mantissa)
        if power in _DECIMAL_SUFFIX:
            return f"{mantissa}{_DECIMAL_SUFFIX[power]}"
        return f"{mantissa * 10 ** (power - 18)}E"

    def ceiling(self) -> int:
        """Return the number rounded up, away from zero: bytes, devices (`Value` upstream)."""
        return int(self.value.to_integral_value(ROUND_UP, _EXACT))


def parse_quantity(text: str | float) -> Quantity:
    """Read a quantity; YAML numbers count as their text. Raises QuantityError."""
    found = None if isinstance(text, bool) else _FORM.fullmatch(str(text))
    if found is None or len(str(text)) > _LONGEST:
        raise _unreadable(text)
    number, suffix = found.groups()
    value, form = Decimal(number), Form.DECIMAL
    if suffix in _DECIMAL:
        value = _EXACT.scaleb(value, _DECIMAL[suffix])
    elif suffix in _BINARY:
        value, form = _EXACT.multiply(value, Decimal(1024 ** _BINARY[suffix])), Form.BINARY
    elif exponent := _EXPONENT.fullmatch(suffix):
        value, form = _EXACT.scaleb(value, int(exponent[1])), Form.EXPONENT
    else:
        raise _unreadable(text)
    return Quantity(value.quantize(_NANO, ROUND_UP, _EXACT).normalize(_EXACT), form)


def _whole(value: Decimal) -> tuple[int, int]:
    """Return mantissa and power of ten (a multiple of three) with the smallest whole mantissa."""
    sign, digits, exponent = value.normalize(_EXACT).as_tuple()
    power = int(exponent) // 3 * 3
    mantissa = int("".join(map(str, digits))) * 10 ** (int(exponent) - power)
    return (-mantissa if sign else mantissa), power


def _binary(number: int) -> str:
    power = 0
    while power < 6 and number % 1024 == 0:
        number //= 1024
        power += 1
    return f"{number}{_BINARY_SUFFIX[power]}"


def _unreadable(text: object) -> QuantityError:
    return QuantityError(
        "quantities must match the regular expression "
        "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'; "
        f'"{str(text)[:_LONGEST]}" does not: write a number and a unit, as "500m" or "2Gi"'
    )
