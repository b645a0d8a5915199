"""Whether the component beside the agent is ready, asked as its own readiness probe would be.

KServe, agent: the probe of the component is in `SERVING_READINESS_PROBE`, as JSON (several in a
list, of a pod with several containers); the kubelet asks the agent, which asks the component.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from sampan.agent.waiting import result_of
from sampan.machinery.web_address import Origin
from sampan.wire.upstream import Upstreams
from sampan.wire.upstream_answer import Answer

HERE = "127.0.0.1"
NETWORK_PROBE = b"k-network-probe"
QUEUE = b"queue"
"""The value of the header of Knative's probes, and the answer to them."""

_KUBELET = b"kube-probe/"
_PROBERS = (_KUBELET, b"Knative-Activator-Probe", b"Knative-Autoscaling-Probe")


@dataclass(frozen=True, slots=True)
class Probe:
    """`path` empty: a connection is enough. `seconds` bounds one try."""

    port: int
    host: str = HERE
    path: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 1.0


def is_probe(headers: Mapping[bytes, bytes]) -> bool:
    """Tell whether a request asks for health, whatever its path (Knative, health checks)."""
    agent = headers.get(b"user-agent", b"")
    return NETWORK_PROBE in headers or agent.startswith(_PROBERS)


def parse_probes(text: str | None, port: int) -> tuple[Probe, ...]:
    """Return the probes of a variable; ValueError for what is none.

    Not set: the component's port must take connections (pods whose probe is a command have no
    variable). Empty: always ready.
    """
    if text is None:
        return (Probe(port),)
    if not text.strip():
        return ()
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(
            f'SERVING_READINESS_PROBE is "{text}", which is no JSON ({error}); write a probe as '
            '{"tcpSocket": {"port": 8080}}'
        ) from None
    probes = found if isinstance(found, list) else [found]
    return tuple(_parse(probe, port) for probe in probes)


def _parse(probe: Any, port: int) -> Probe:
    known = probe if isinstance(probe, dict) else {}
    seconds = float(known.get("timeoutSeconds") or 1.0)
    http, tcp = known.get("httpGet"), known.get("tcpSocket")
    if isinstance(http, dict) and str(http.get("scheme") or "HTTP").upper() == "HTTP":
        pairs = [(h["name"], h.get("value") or "") for h in http.get("httpHeaders") or ()]
        path = str(http.get("path") or "/")
        path = path if path.startswith("/") else f"/{path}"
        return Probe(_port(http, port), http.get("host") or HERE, path, tuple(pairs), seconds)
    for handler in (http, tcp, known.get("grpc")):  # TLS and gRPC: that somebody listens
        if isinstance(handler, dict):
            return Probe(_port(handler, port), handler.get("host") or HERE, seconds=seconds)
    raise ValueError(
        f"SERVING_READINESS_PROBE holds {json.dumps(probe)}, which is no probe that can be asked "
        "from beside; give it httpGet or tcpSocket"
    )


def _port(handler: Mapping[str, Any], port: int) -> int:
    """Return a probe's port; a name of a port is not known here, and means the component's."""
    given = handler.get("port")
    return given if isinstance(given, int) and given > 0 else port


class Prober:
    """Asks the probes of one component. Made and used on its loop's thread."""

    def __init__(self, upstreams: Upstreams, probes: tuple[Probe, ...]) -> None:
        self._upstreams = upstreams
        self._probes = probes

    async def is_ready(self) -> bool:
        """Tell whether every probe succeeds now."""
        return all(await asyncio.gather(*(self._try(probe) for probe in self._probes)))

    async def _try(self, probe: Probe) -> bool:
        if probe.path:
            return await self._get(probe)
        try:
            async with asyncio.timeout(probe.seconds):
                _, writer = await asyncio.open_connection(probe.host, probe.port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    async def _get(self, probe: Probe) -> bool:
        given = {name.lower() for name, _ in probe.headers}
        usual = [("host", f"{probe.host}:{probe.port}"), ("user-agent", "kube-probe/sampan")]
        headers = [*probe.headers, *(pair for pair in usual if pair[0] not in given)]
        lines = [f"GET {probe.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        pool = self._upstreams.pool(Origin("http", probe.host, probe.port))
        result = await result_of(partial(pool.call, head, b"", probe.seconds))
        return isinstance(result, Answer) and 200 <= result.status < 400
