"""The route table: what the gateway should do, as one immutable value that is swapped whole.

Pure. `sampan.gateway.config` renders it to Envoy's configuration; a platform makes it from plans
and from the endpoints that are ready.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """An address that answers HTTP."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """The endpoints of one workload revision. `health_path` is asked by Envoy each half second.

    `name` is unique in the table (`default/iris-predictor/v1-abc123`). With `health_path` empty,
    a TCP connection that opens is health. `http2`: the endpoints speak HTTP/2 without TLS, as
    gRPC servers do; otherwise they are spoken to in HTTP/1.1. `concurrency` is how many requests
    an endpoint takes at once, 0: as many as come.
    """

    name: str
    endpoints: tuple[Endpoint, ...]
    health_path: str = "/v2/health/ready"
    http2: bool = False
    concurrency: int = 0


@dataclass(frozen=True, slots=True)
class Share:
    """A cluster's share of a route in percent; the shares of a route sum to 100.

    `held` names the workload (its cluster of REST requests) whose requests wait at the activator
    until it can be reached; "": requests go at once.
    """

    cluster: str
    weight: int = 100
    held: str = ""


@dataclass(frozen=True, slots=True)
class Tag:
    """A way to one share of a route by itself; `position` is that share's place among them.

    By `hosts` of its own; and where `by_header` at the route's hosts, by the header or the cookie
    `Knative-Serving-Tag` (Knative Serving, tag header based routing).
    """

    name: str
    position: int
    hosts: tuple[str, ...] = ()
    by_header: bool = False


@dataclass(frozen=True, slots=True)
class Mirror:
    """A share that gets copies of `percent` of the requests, whose answers nobody sees."""

    position: int
    percent: int


@dataclass(frozen=True, slots=True)
class Steering:
    """What decides beside the shares where a request goes.

    `sticky`: a client stays with its share, told apart by the header of this name, or by a cookie
    that the gateway gives (`cookie`); "": each request is drawn anew.
    """

    tags: tuple[Tag, ...] = ()
    mirrors: tuple[Mirror, ...] = ()
    sticky: str = ""


@dataclass(frozen=True, slots=True)
class ComponentRoute:
    """The way in of one component of a service: by `hosts`, and at a loopback port of its own.

    `name` is unique within the service. `port` is for the service's other components, which know no
    names: whoever asks there asks this component, whatever the host and path (0: none).
    `explains`: the service's own `/v1/models/{model}:explain` leads here too.
    """

    name: str
    hosts: tuple[str, ...]
    shares: tuple[Share, ...]
    grpc_shares: tuple[Share, ...] = ()
    timeout_seconds: int | None = None
    port: int = 0
    explains: bool = False
    steering: Steering = Steering()


@dataclass(frozen=True, slots=True)
class TableRoute:
    """One service's way in: by any of `hosts` (any port), or by `path_prefix`, which is stripped.

    `name` is `namespace/name`. No shares: answer 503 with `unavailable` as V1-style error body.
    `grpc_shares` take the requests whose content type is `application/grpc`; none: as the others.
    `components` are the ways in of its parts, where it has several. `door`: a port of its own at
    which everything is asked of it, whatever the host and path, and nowhere else (0: none; for a
    gateway whose settings have a `door_host`).
    """

    name: str
    hosts: tuple[str, ...]
    path_prefix: str
    shares: tuple[Share, ...] = ()
    timeout_seconds: int | None = None
    unavailable: str = ""
    grpc_shares: tuple[Share, ...] = ()
    components: tuple[ComponentRoute, ...] = ()
    steering: Steering = Steering()
    door: int = 0


def select_shares(route: TableRoute) -> tuple[Share, ...]:
    """Return the shares of a service's REST requests: its own and those of its components."""
    return (*route.shares, *(share for part in route.components for share in part.shares))


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Everything the gateway knows."""

    routes: tuple[TableRoute, ...] = ()
    clusters: tuple[Cluster, ...] = ()
