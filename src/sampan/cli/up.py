"""`sampan up`: the platform in the background."""

from __future__ import annotations

from typing import Annotated

import typer

from sampan.app.paths import find_paths
from sampan.cli.client import Server
from sampan.cli.daemon import read_server, start, wait_until_up
from sampan.cli.output import note, say, warn

DEFAULT_PORT = 8080

Port = Annotated[
    int, typer.Option(min=1, max=65535, help="Port of the gateway, where predictions go")
]


def up(
    port: Port = DEFAULT_PORT,
    api_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the API server; 0: a free one")
    ] = 0,
    kubeconfig: Annotated[bool, typer.Option(help="Write a kubectl context named sampan")] = True,
) -> None:
    """Start Sampan in the background, and tell kubectl how to reach it."""
    paths = find_paths()
    server = read_server(paths)
    if server is not None:
        note(f"Sampan is up already (pid {server.pid})")
        if port not in {server.gateway_port, DEFAULT_PORT}:
            warn(
                f"its gateway stays on port {server.gateway_port}, not {port}; "
                "run `sampan down` first to change it"
            )
    else:
        process = start(paths, ["--port", str(port), "--api-port", str(api_port)], attached=False)
        server = wait_until_up(paths, process)
    say(f"gateway     http://localhost:{server.gateway_port}")
    say(f"API server  http://{server.host}:{server.port}")
    if kubeconfig:
        say(f"kubectl     {write_context(server)}")
    say("")
    say("next: sampan apply -f FILE, then sampan get isvc")


def write_context(server: Server) -> str:
    """Write the kubectl context of a server; return how to use it."""
    from sampan.apiserver.kubeconfig import KubeconfigError, find_kubeconfig, write_context

    path = find_kubeconfig()
    address = f"https://{server.host}:{server.port}"
    try:
        write_context(path, address, server.token, server.authority.encode())
    except KubeconfigError as error:
        warn(str(error))
        return "no context was written"
    return f"kubectl --context sampan get isvc   ({path})"
