"""One attempt of a probe: raw sockets on the running loop, nothing imported that costs.

Each check returns "" when it passes, else what was found, in words. An HTTP attempt costs some
0.2 ms of CPU. Redirects pass as they are (3xx), as the kubelet has it for those to other hosts.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from sampan.platforms.local.probes import Action, Exec, Grpc, HttpGet, TcpSocket

HOST = "127.0.0.1"

_ENOUGH = 512  # bytes that surely hold a status line


@dataclass(frozen=True, slots=True)
class Target:
    """What is probed: the replica's ports (container to loopback), environment and folder."""

    ports: Mapping[int, int]
    env: Mapping[str, str]
    cwd: str


class UndeclaredPort(Exception):
    """A probe of a port that the replica does not have."""


async def check(action: Action, target: Target, timeout: float) -> str:  # noqa: ASYNC109 # a probe's own field
    """Make one attempt; return "" or why it did not pass. Never raises for what it finds."""
    try:
        async with asyncio.timeout(timeout):
            return await _attempt(action, target)
    except UndeclaredPort as error:
        return str(error)
    except TimeoutError:
        return f"{describe(action, target)}: no answer within {timeout:g} s"
    except OSError as error:
        return f"{describe(action, target)}: {_words(error)}"


def _words(error: OSError) -> str:
    """Return the system's words: the loop puts an address of its own in their place."""
    return os.strerror(error.errno) if error.errno else str(error)


def describe(action: Action, target: Target) -> str:
    """Return what an attempt asks, for messages."""
    match action:
        case HttpGet():
            scheme = "https" if action.https else "http"
            return f'GET "{scheme}://{HOST}:{_local(action.port, target)}{action.path}"'
        case TcpSocket():
            return f'connection to "{HOST}:{_local(action.port, target)}"'
        case Grpc():
            return f'gRPC health of "{HOST}:{_local(action.port, target)}"'
        case Exec():
            return f'command "{" ".join(action.command)}"'


def _local(port: int, target: Target) -> int:
    """Return the loopback port of a container port; of none, the first that is declared.

    A probe without a port is sent where requests are (Knative, "Configure probes"); KServe's own
    sample of probes has none. One that is not declared fails: taken literally it might be
    anybody's, the gateway's say.
    """
    if not port and target.ports:
        return next(iter(target.ports.values()))
    try:
        return target.ports[port]
    except KeyError:
        raise UndeclaredPort(
            f'the probe\'s port "{port}" is not among the container ports '
            f'"{", ".join(map(str, target.ports))}"; declare it in "ports"'
        ) from None


async def _attempt(action: Action, target: Target) -> str:
    match action:
        case HttpGet() if action.https:
            return await _https(action, target)
        case HttpGet():
            return await _http(action, target)
        case TcpSocket():
            (await _connect(_local(action.port, target))).close()
            return ""
        case Grpc():
            from sampan.platforms.local import grpc_health

            connection = await _connect(_local(action.port, target))
            with connection:
                answer = await grpc_health.ask(connection, action.service)
            return answer and f"{describe(action, target)}: {answer}"
        case Exec():
            return await _exec(action, target)


async def _connect(port: int) -> socket.socket:
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(connection, (HOST, port))
    except BaseException:
        connection.close()
        raise
    return connection


async def _http(action: HttpGet, target: Target) -> str:
    loop = asyncio.get_running_loop()
    with await _connect(_local(action.port, target)) as connection:
        await loop.sock_sendall(connection, make_request(action, target))
        answer = b""
        while b"\r\n" not in answer and len(answer) < _ENOUGH:
            chunk = await loop.sock_recv(connection, _ENOUGH)
            if not chunk:
                break
            answer += chunk
    return _judge(answer, action, target)


async def _https(action: HttpGet, target: Target) -> str:
    import ssl

    context = ssl.create_default_context()
    context.check_hostname = False  # the kubelet does not verify either: it asks itself
    context.verify_mode = ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(HOST, _local(action.port, target), ssl=context)
    try:
        writer.write(make_request(action, target))
        return _judge(await reader.readline(), action, target)
    finally:
        writer.transport.abort()


def make_request(action: HttpGet, target: Target) -> bytes:
    """Return the bytes of the GET. Pure."""
    given = {name.lower() for name, _ in action.headers}
    defaults = (
        ("Host", f"{HOST}:{_local(action.port, target)}"),
        ("User-Agent", "kube-probe/sampan"),
        ("Accept", "*/*"),
    )
    headers = [h for h in defaults if h[0].lower() not in given]
    lines = [f"GET {action.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in (*headers, *action.headers)]
    return ("\r\n".join(lines) + "\r\nConnection: close\r\n\r\n").encode("latin-1", "replace")


def _judge(answer: bytes, action: HttpGet, target: Target) -> str:
    words = answer.split(b"\r\n", 1)[0].split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        return f"{describe(action, target)}: the answer is not HTTP"
    status = int(words[1])
    return "" if 200 <= status < 400 else f"{describe(action, target)}: HTTP {status}"


async def _exec(action: Exec, target: Target) -> str:
    process = await asyncio.create_subprocess_exec(
        *action.command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=dict(target.env),
        cwd=target.cwd,
        start_new_session=True,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode == 0:
        return ""
    said = output.decode("utf-8", "replace").strip()[-200:]
    return f'{describe(action, target)}: exit code {process.returncode}, output "{said}"'
