"""`sampan run FILE`: serve it now, in the foreground; Ctrl-C leaves nothing behind."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from sampan.app.paths import Paths, find_paths
from sampan.cli import daemon
from sampan.cli.apply import apply_all
from sampan.cli.client import ApiClient, ApiProblem, JsonObject
from sampan.cli.delete import wait_until_gone
from sampan.cli.files import Loaded, load_objects
from sampan.cli.model_file import is_model, load_model, render_yaml
from sampan.cli.output import USAGE, USER, CliError, colourful, note, paint, say
from sampan.cli.predict import send
from sampan.cli.prediction import read_body
from sampan.cli.targets import GRAPH, find_resource, object_path
from sampan.cli.why import ask, rendered

REPORT_SECONDS = 0.05


def run(
    file: Annotated[
        str, typer.Argument(help="A YAML file or folder, - for standard input, or a model")
    ],
    input_file: Annotated[
        str, typer.Option("--input", "-i", help="Request to send once Ready")
    ] = "",
    exit_after_input: Annotated[bool, typer.Option(help="End after the request's answer")] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the gateway")] = 8080,
    namespace: Annotated[str, typer.Option("--namespace", "-n")] = "",
    wait: Annotated[float, typer.Option(help="Seconds to wait until Ready")] = 600.0,
    output: Annotated[
        str, typer.Option("--output", "-o", help="yaml: print the objects, and serve nothing")
    ] = "",
    name: Annotated[str, typer.Option(help="Of a model: the name of its service")] = "",
) -> None:
    """Serve the objects of a file, or a model by its content, in the foreground until Ctrl-C."""
    if output not in {"", "yaml"}:
        raise CliError(f'output "{output}" is not known; use yaml', USAGE)
    body = read_body(input_file) if input_file else None
    model = is_model(file)
    if name and not model:
        raise CliError(
            f'--name is for a model, and "{file}" holds objects with names; leave it out'
        )
    loaded = load_model(file, name) if model else load_objects([file])
    if output:
        say(render_yaml([one.obj for one in loaded]).rstrip("\n"))
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends like Ctrl-C
    with platform(port) as found, applied(*found, loaded, namespace) as services:
        client = found[0]
        for service in services:
            follow_until_ready(client, service, wait)
        tell(client, services, body)
        if not (exit_after_input and body is not None):
            stay(client)


@contextmanager
def platform(port: int) -> Iterator[tuple[ApiClient, bool]]:
    """Use the running daemon (yields True), or run one for as long as this command lives."""
    paths = find_paths()
    server = daemon.read_server(paths)
    if server is not None:
        note(f"using the Sampan that is up (pid {server.pid})")
        yield ApiClient(server), True
        return
    with ExitStack() as ending:
        with interrupts_deferred():
            own = paths.with_state(Path(tempfile.mkdtemp(prefix="sampan-run-")))
            ending.callback(_clear, own)
            process = daemon.start(own, ["--port", str(port)], attached=True)
            ending.callback(daemon.stop, process.pid, process=process)
        yield ApiClient(daemon.wait_until_up(own, process)), False


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Let a Ctrl-C wait until the block has ended: what it makes is then known, and so removed.

    By handlers and not by a signal mask, which the daemon would inherit.
    """
    told: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _frame: told.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if told:
        raise KeyboardInterrupt


def _clear(own: Paths) -> None:
    """Remove what a daemon that could not clear up itself, for it was killed, has left."""
    if own.state.exists():
        from sampan.app.orphans import stop_orphans

        stop_orphans(own)
        shutil.rmtree(own.state, ignore_errors=True)


@contextmanager
def applied(
    client: ApiClient, shared: bool, loaded: list[Loaded], namespace: str
) -> Iterator[list[tuple[str, str]]]:
    """Apply objects and yield the services as `(namespace, name)`, then the graphs.

    On a shared daemon what was created is deleted in the end; a daemon of our own ends whole.
    """
    created: list[JsonObject] = []
    services: list[tuple[str, str]] = []
    graphs: list[tuple[str, str]] = []
    try:
        for verdict, obj in apply_all(client, loaded, namespace):
            if verdict == "created":
                created.append(obj)
            if obj["kind"] == "InferenceService":
                services.append((obj["metadata"]["namespace"], obj["metadata"]["name"]))
            elif obj["kind"] == "InferenceGraph":
                graphs.append((obj["metadata"]["namespace"], f"{GRAPH}{obj['metadata']['name']}"))
        yield [*services, *graphs]
    finally:
        for obj in reversed(created) if shared else ():
            _remove(client, obj)


def _remove(client: ApiClient, obj: JsonObject) -> None:
    resource = find_resource(client, obj["kind"])
    path = object_path(resource, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
    try:
        client.request("DELETE", path)
        wait_until_gone(client, path)
    except (ApiProblem, CliError) as error:
        note(f"left behind: {path} ({error.message})")


def follow_until_ready(client: ApiClient, service: tuple[str, str], seconds: float) -> None:
    """Report each link of the chain as it changes; raise CliError when one fails for good."""
    reporter = Reporter()
    deadline = time.monotonic() + seconds
    told: JsonObject = {}
    while time.monotonic() < deadline:
        told = ask(client, *service)
        reporter.show(told)
        if told["ready"]:
            reporter.finish()
            return
        if is_final(told):
            reporter.finish()
            raise CliError(rendered(told), USER)
        time.sleep(REPORT_SECONDS)
    raise CliError(f"{rendered(told)}\nnot Ready after {seconds:.0f} s", USER)


def is_final(told: JsonObject) -> bool:
    """Tell whether waiting is in vain. That a graph waits for its services passes."""
    if not told.get("about"):
        return bool(told.get("final"))
    return told.get("link") == "decision" and told.get("reason") != "GraphStepNotReady"


class Reporter:
    """Progress on standard error: a line that changes on a terminal, else a line a change."""

    def __init__(self) -> None:
        self._last = ""
        self._live = colourful(sys.stderr)

    def show(self, told: JsonObject) -> None:
        """Show the link that is under way, where it changed."""
        line = current(told)
        if line == self._last or not line:
            return
        self._last = line
        if self._live:
            width = shutil.get_terminal_size().columns
            sys.stderr.write(f"\r\x1b[K{line[: width - 1]}")
            sys.stderr.flush()
        else:
            note(line)

    def finish(self) -> None:
        """Leave the changing line."""
        if self._live and self._last:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def current(told: JsonObject) -> str:
    """Return the first link that is not done, as one line."""
    several = len({link.get("component") for link in told["links"]} - {"", None}) > 1
    for link in told["links"]:
        if link["state"] != "done":
            rest = link.get("message") or link.get("reason") or link["state"]
            whose = f"{link['component']} " if several and link.get("component") else ""
            return f"{told['name']}: {whose}{link['name']}: {rest}"
    return ""


def tell(client: ApiClient, services: list[tuple[str, str]], body: bytes | None) -> None:
    """Print each service's URL, the answer to the request, and what to type next.

    Where there are graphs, the request is for them: services are their steps.
    """
    asked = [s for s in services if s[1].startswith(GRAPH)] or services
    for service in services:
        told = ask(client, *service)
        say(f"{paint(service[1], '1')} is ready at {told['url']}")
        if body is not None and service in asked:
            say(send(client, service, body))
    if services:
        namespace, name = asked[0]
        port = client.server.gateway_port
        path = f"http://localhost:{port}/serving/{namespace}/{name.removeprefix(GRAPH)}/"
        path += "" if name.startswith(GRAPH) else f"v1/models/{name}:predict"
        say("")
        say(f"next: curl {path} -d @REQUEST.json -H 'Content-Type: application/json'")


def stay(client: ApiClient) -> None:
    """Wait for Ctrl-C, or for the daemon to go away."""
    note("serving until Ctrl-C")
    try:
        while True:
            time.sleep(0.5)
            if not daemon.alive(client.server.pid):
                raise CliError("the daemon has ended; see its log", 3)
    except KeyboardInterrupt:
        note("\nstopping")
