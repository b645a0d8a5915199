"""`sampan top`: what each replica of a service uses now, and how many run of those wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import typer

from sampan.cli.client import ApiClient, ApiProblem, JsonObject
from sampan.cli.daemon import connect
from sampan.cli.output import USAGE, CliError, note, say, table
from sampan.cli.targets import service_name, service_path
from sampan.machinery.quantity import parse_quantity

SERVICE_LABEL = "serving.kserve.io/inferenceservice"
REPLICAS = "serving.sampan.dev/replicas"
HEADER = ("NAME", "REPLICAS", "POD", "CPU(cores)", "MEMORY(bytes)")
_SERVICES = "/apis/serving.kserve.io/v1beta1"
_METRICS = "/apis/metrics.k8s.io/v1beta1"
_MEBIBYTE = 1 << 20


def top(
    names: Annotated[list[str] | None, typer.Argument(help="InferenceServices; none: all")] = None,
    namespace: Annotated[str, typer.Option("--namespace", "-n")] = "default",
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A")] = False,
    output: Annotated[str, typer.Option("--output", "-o", help="json")] = "",
) -> None:
    """Show the CPU and memory that each replica uses now, the busiest service first."""
    if output not in ("", "json"):
        raise CliError(f'-o "{output}": choose json', USAGE)
    if names and all_namespaces:
        raise CliError("name services of one namespace, or none with --all-namespaces", USAGE)
    client = connect()
    services = gather_services(client, names or [], namespace, everywhere=all_namespaces)
    where = "" if all_namespaces else f"/namespaces/{namespace}"
    measured = gather_measured(client, where)
    if output:
        from sampan.cli.get import formatted

        own = {_key(s["metadata"]["namespace"], s["metadata"]["name"]) for s in services}
        items = [pod for pod in measured if _service_of(pod) in own]
        kind = {"apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetricsList"}
        say(formatted({**kind, "items": items}, output))
    elif services:
        header = ("NAMESPACE", *HEADER) if all_namespaces else HEADER
        say(table(header, make_rows(services, measured, every=all_namespaces)))
    else:
        note("No resources found.")


def gather_measured(client: ApiClient, where: str) -> list[JsonObject]:
    """Return what the pods of a place use; raise CliError where nobody measures it."""
    try:
        return list(client.get(f"{_METRICS}{where}/pods")["items"])
    except ApiProblem as problem:
        if problem.status.get("code") != 404 or not client.server.context:
            raise
        text = "this cluster measures no pods (metrics.k8s.io); install metrics-server"
        raise CliError(text) from None


def gather_services(
    client: ApiClient, names: Sequence[str], namespace: str, *, everywhere: bool
) -> list[JsonObject]:
    """Return the services that are asked for; raise ApiProblem for one that is not there."""
    if names:
        return [client.get(service_path(namespace, service_name(name))) for name in names]
    where = "" if everywhere else f"/namespaces/{namespace}"
    return list(client.get(f"{_SERVICES}{where}/inferenceservices")["items"])


def make_rows(
    services: Sequence[JsonObject], measured: Sequence[JsonObject], *, every: bool
) -> list[list[str]]:
    """Return a row for each replica, and one for each service without any; the most CPU first."""
    by_service: dict[tuple[str, str], list[JsonObject]] = {}
    for pod in measured:
        by_service.setdefault(_service_of(pod), []).append(pod)
    found = [(one, by_service.get(_key_of(one), [])) for one in services]
    found.sort(key=lambda pair: (-sum(map(_cores, pair[1])), _key_of(pair[0])))
    return [row for one, pods in found for row in _rows(one, pods, every=every)]


def _rows(service: JsonObject, pods: Sequence[JsonObject], *, every: bool) -> Iterator[list[str]]:
    namespace, name = _key_of(service)
    noted = ((service.get("status") or {}).get("annotations") or {}).get(REPLICAS, "")
    own = [namespace, name, noted] if every else [name, noted]
    if not pods:
        yield [*own, "", "", ""]
    for pod in sorted(pods, key=lambda one: (-_cores(one), str(one["metadata"]["name"]))):
        memory = sum(map(_memory, pod["containers"])) / _MEBIBYTE
        yield [*own, pod["metadata"]["name"], f"{_cores(pod) * 1000:.0f}m", f"{memory:.0f}Mi"]


def _cores(pod: JsonObject) -> float:
    return sum(float(parse_quantity(c["usage"]["cpu"]).value) for c in pod["containers"])


def _memory(container: Mapping[str, JsonObject]) -> float:
    return float(parse_quantity(container["usage"]["memory"]).value)


def _service_of(pod: JsonObject) -> tuple[str, str]:
    metadata = pod["metadata"]
    return _key(metadata["namespace"], (metadata.get("labels") or {}).get(SERVICE_LABEL, ""))


def _key_of(service: JsonObject) -> tuple[str, str]:
    return _key(service["metadata"]["namespace"], service["metadata"]["name"])


def _key(namespace: str, name: str) -> tuple[str, str]:
    return str(namespace), str(name)
