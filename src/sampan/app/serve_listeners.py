"""Where a model server listens: the HTTP port, which speaks everything, and KServe's gRPC port."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

from sampan.app.serve_arguments import Options
from sampan.app.serve_extensions import Extended
from sampan.app.serve_socket import Address, Certificate, bind
from sampan.server.dataplane import DataPlane
from sampan.server.exchange import Observation
from sampan.server.grpc import Grpc
from sampan.server.rest import Rest
from sampan.wire.limits import Limits
from sampan.wire.listener import Listener

GRPC_PORT = 8081  # KServe's
logger = logging.getLogger("sampan.serve")


class PortTaken(Exception):
    """A port cannot be had; the text tells which, and what mends it."""


def make_listeners(
    dataplane: DataPlane,
    options: Options,
    extended: Extended,
    observation: Observation,
    api: Any = None,
) -> dict[int, Listener]:
    """Return a listener a port, the HTTP port first."""
    limits = Limits(
        body_bytes=options.max_body_bytes,
        idle_seconds=float(options.timeout_keep_alive),
        message_bytes=options.grpc_max_receive_message_length,
    )
    rest = Rest(dataplane, observation, extended.fallback, api)
    submit = extended.wrap(rest.submit)
    grpc = None
    if options.enable_grpc:
        grpc = Grpc(
            dataplane,
            options.grpc_max_receive_message_length,
            options.grpc_max_send_message_length,
            observation,
            api,
        )
    return {port: Listener(submit, limits, grpc) for port in _ports(options)}


def _ports(options: Options) -> list[int]:
    """Return the ports to serve, the HTTP port first (which a Unix socket may stand for)."""
    ports = [options.http_port]
    usual = None if options.address.uds else GRPC_PORT
    grpc_port = usual if options.grpc_port is None else options.grpc_port
    if options.enable_grpc and grpc_port not in {None, 0, options.http_port}:
        ports.append(grpc_port)
    return ports


def bind_ports(options: Options) -> dict[int, socket.socket]:
    """Return a bound socket a port; PortTaken for one that was asked for and cannot be had.

    KServe's gRPC port, when nobody asked for it, is let go: the HTTP port speaks gRPC as well. A
    Unix socket stands for the HTTP port, and no other is opened then unless it was asked for.
    """
    sockets = {}
    for port in _ports(options):
        is_http = port == options.http_port
        address = options.address if is_http else Address()
        try:
            sockets[port] = bind(address, options.host, port)
        except OSError as error:
            place = f'socket "{address.uds}"' if address.uds else f"port {port} on {options.host}"
            why = f"{place} cannot be had ({error.strerror or error})"
            if not is_http and options.grpc_port is None:
                logger.warning("%s; gRPC is served at port %s", why, options.http_port)
                continue
            flag = "--grpc_port" if not is_http else "--uds" if address.uds else "--http_port"
            raise PortTaken(f"{why}; end what holds it or choose another with {flag}") from None
    return sockets


async def listen(
    listeners: dict[int, Listener],
    sockets: dict[int, socket.socket],
    options: Options,
    certificate: Certificate | None,
) -> None:
    """Accept on every socket."""
    for port, sock in sockets.items():
        listener = listeners[port]
        await listener.listen_on(sock, certificate.context if certificate else None)
        scheme = "http" if port == options.http_port else "grpc"
        name = sock.getsockname()
        place = f"unix:{name}" if isinstance(name, str) else f"{name[0]}:{name[1]}"
        logger.info("listening on %s%s://%s", scheme, "s" if certificate else "", place)


async def drain(listeners: dict[int, Listener], seconds: float) -> int:
    """Finish what is in flight on every port; return how many connections were cut off."""
    return sum(await asyncio.gather(*(one.drain(seconds) for one in listeners.values())))
