"""What a YAML scalar stands for, as kubectl reads it.

kubectl reads YAML 1.1 with go-yaml v2 and turns it into JSON: dates and base-60 numbers stay text,
octal may be written `017`, and a number that JSON does not have is an error.
"""

from __future__ import annotations

import math
import re
from base64 import b64decode

import yaml

_RESOLVER = yaml.resolver.Resolver()
_PLAIN = (True, False)
_PREFIX = "tag:yaml.org,2002:"

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(
        ("y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"), True
    ),
    **dict.fromkeys(
        ("n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"), False
    ),
}

_INTEGER = re.compile(r"[-+]?(0[bB][01_]+|0[oO]?[0-7_]+|0[xX][0-9a-fA-F_]+|[1-9][0-9_]*|0)")
_NUMBER = re.compile(r"[-+]?(\.[0-9_]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def scalar(tag: str, text: str, *, plain: bool) -> str | int | float | bool | None:
    """Return the value of a scalar; raise ValueError where JSON has none. `plain`: not quoted."""
    name = tag.removeprefix(_PREFIX) if tag.startswith(_PREFIX) else tag
    if name == "str" and (not plain or _implied(text) != tag):
        # quoted, or tagged `!!str` where the text alone would have been something else
        return text
    if name == "binary":
        return _decoded(text)
    if not tag.startswith(_PREFIX):
        raise ValueError(f'unknown tag "{tag}"; remove it')
    return _resolved(text) if plain else text


def _decoded(text: str) -> str:
    try:
        return b64decode("".join(text.split()), validate=True).decode()
    except ValueError:
        raise ValueError("not base64 of a text; leave !!binary out") from None


def _implied(text: str) -> str:
    """Return the tag that a scalar without quotes and tag has."""
    tag = _RESOLVER.resolve(yaml.ScalarNode, text, _PLAIN)  # type: ignore[no-untyped-call] # PyYAML
    return str(tag)


def _resolved(text: str) -> str | int | float | bool | None:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _NUMBER.fullmatch(text):
        number = float(text.replace("_", ""))
        # out of the range of a double, it stays text
        return text if math.isinf(number) else _as_json_prints(number)
    if _NO_NUMBER.fullmatch(text):
        raise ValueError(f'"{text}" is no number in JSON; write a finite one, or put it in quotes')
    return text


def _as_json_prints(number: float) -> int | float:
    """Return a whole number as an integer, as it arrives once kubectl has written it as JSON."""
    return int(number) if number.is_integer() and abs(number) < 1e21 else number


def _integer(text: str) -> int:
    digits = text.replace("_", "").lower()
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    for prefix, base in (("0b", 2), ("0o", 8), ("0x", 16)):
        if digits.startswith(prefix):
            return sign * int(digits[2:], base)
    octal = len(digits) > 1 and digits.startswith("0")
    return sign * int(digits, 8 if octal else 10)
