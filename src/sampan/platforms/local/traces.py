"""What a daemon that is told where traces go hands on, so that its replicas' spans go there. Pure.

OpenTelemetry's variables say where (`OTEL_EXPORTER_OTLP_*`), and which and how many. What a pod
says itself goes before. The name is each workload's own: a trace tells who worked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from sampan.platforms.local.images import ImageTable

REQUIREMENTS = ("opentelemetry-sdk>=1.30", "opentelemetry-exporter-otlp-proto-http>=1.30")
"""What Sampan's own servers need to send traces: the extra "tracing"."""

_HANDED = re.compile(
    r"OTEL_(EXPORTER_OTLP_(TRACES_)?\w+|TRACES_(EXPORTER|SAMPLER|SAMPLER_ARG)|BSP_\w+|PROPAGATORS"
    r"|(ATTRIBUTE|SPAN|EVENT|LINK)_\w+_LIMIT)"
)
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_OWN_PROGRAMS = "sampan.app."


def is_traced(environ: Mapping[str, str]) -> bool:
    """Tell whether an environment asks for traces (OpenTelemetry's specification of variables)."""
    exporter = environ.get("OTEL_TRACES_EXPORTER", "")
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or exporter == "none":
        return False
    return exporter == "otlp" or any(environ.get(name) for name in _ENDPOINTS)


def select_traces(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that replicas are handed: none where no traces are asked for."""
    if not is_traced(environ):
        return {}
    return {name: value for name, value in environ.items() if _HANDED.fullmatch(name)}


def make_names(
    env: Mapping[str, str], namespace: str, workload: str, replica: str
) -> dict[str, str]:
    """Return the variables by which a replica's spans tell whose they are; none without traces."""
    if not is_traced(env):
        return {}
    attributes = f"k8s.namespace.name={namespace},k8s.pod.name={replica}"
    return {"OTEL_SERVICE_NAME": workload, "OTEL_RESOURCE_ATTRIBUTES": attributes}


def add_tracing(table: ImageTable) -> ImageTable:
    """Return a table whose entries that are Sampan's own servers can send traces."""
    return ImageTable(
        tuple(
            replace(
                command, requirements=tuple(dict.fromkeys((*command.requirements, *REQUIREMENTS)))
            )
            if any(word.startswith(_OWN_PROGRAMS) for word in command.argv)
            else command
            for command in table.commands
        )
    )
