"""A Prometheus that a service names, asked for one number.

It may be on this machine or in a private network, where such servers are; addresses that give
credentials of a cloud's machine are refused after the name is resolved, and no redirect is
followed.
"""

from __future__ import annotations

import asyncio
from urllib.parse import SplitResult, urlsplit

import orjson

from sampan.autoscaler.errors import MetricError
from sampan.autoscaler.prometheus import make_path, read_answer
from sampan.autoscaler.queries import Query
from sampan.gateway.ask import Address, ask
from sampan.machinery.addresses import describe, parse_ip
from sampan.machinery.host_lookup import look_up

ANSWER_SECONDS = 5.0
_FORBIDDEN = frozenset({"metadata", "link-local", "unspecified", "multicast"})
_PORTS = {"http": 80, "https": 443}


async def ask_prometheus(query: Query) -> float:
    """Return what the query's server answers; raise MetricError."""
    url = parse_server(query.server)
    port = url.port or _PORTS[url.scheme]
    try:
        host = await asyncio.wait_for(_resolve(str(url.hostname), port), ANSWER_SECONDS)
        tls = str(url.hostname) if url.scheme == "https" else ""
        path = make_path(url.path, query.text, query.tenant)
        address = Address(host=host, port=port, tls=tls)
        answer = await ask(address, path, url.netloc, ANSWER_SECONDS)
        return read_answer(orjson.loads(bytes(answer.body)))
    except TimeoutError as error:
        raise MetricError(f"no answer within {ANSWER_SECONDS:g} s") from error
    except OSError as error:
        raise MetricError(f"{error.strerror or error}; check serverAddress") from error
    except orjson.JSONDecodeError as error:
        text = f"it answers {answer.status} and no JSON; check serverAddress"
        raise MetricError(text) from error


def parse_server(server: str) -> SplitResult:
    """Return the parts of a server's address; raise MetricError. Pure."""
    try:
        url = urlsplit(server)
        url.port  # noqa: B018  # a port that is no number raises here
    except ValueError as error:
        raise MetricError(f'"{server}" is no address: {error}') from error
    if url.scheme not in _PORTS or not url.hostname:
        raise MetricError(f'"{server}" is no address; write it as http://host:9090')
    if url.username is not None:
        raise MetricError("a user in serverAddress is not told to the server; leave it out")
    return url


async def _resolve(host: str, port: int) -> str:
    """Return the first address of a host; raise OSError, or MetricError where it is refused."""
    address = (await look_up(host, port))[0]
    kind = describe(parse_ip(address))
    if kind in _FORBIDDEN:
        raise MetricError(f"{address} is a {kind} address, which is not asked; name another server")
    return address
