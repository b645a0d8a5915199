"""Which headers of a request go on to the steps.

KServe, router: `PROPAGATE_HEADERS` holds regular expressions, comma-separated; a header goes on
whose canonical name one of them is found in. Nothing does by default but the trace that a request
belongs to. What belongs to a connection stays on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

Pattern = re.Pattern[str]
Header = tuple[bytes, bytes]

TRACE = frozenset({b"traceparent", b"tracestate"})
"""W3C Trace Context: they mean the request as a whole, wherever it goes."""

OF_THE_CONNECTION = frozenset(
    {
        b"accept-encoding",  # the router reads what steps answer
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""RFC 9110, section 7.6.1, and what is said anew of each call: never passed on."""


def parse_patterns(text: str) -> tuple[tuple[Pattern, ...], tuple[str, ...]]:
    """Return the patterns of a comma-separated list, and a sentence for each that is none."""
    patterns, problems = [], []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            patterns.append(re.compile(part))
        except re.error as error:
            problems.append(f'"{part}" is no regular expression ({error}); it matches no header')
    return tuple(patterns), tuple(problems)


def canonical_name(name: bytes) -> str:
    """Return a header's name as Go writes it: `x-request-id` is `X-Request-Id`."""
    return "-".join(part.capitalize() for part in name.decode("latin-1").split("-"))


def make_selection(patterns: Sequence[Pattern]) -> Callable[[Iterable[Header]], list[Header]]:
    """Return what selects the headers that go on to every step, in the order in which they came."""

    @lru_cache(maxsize=1024)  # names are few, and clients may make up as many as they like
    def goes_on(name: bytes) -> bool:
        if name in TRACE:
            return True
        if name in OF_THE_CONNECTION:
            return False
        canonical = canonical_name(name)
        return any(pattern.search(canonical) for pattern in patterns)

    return lambda headers: [header for header in headers if goes_on(header[0])]
