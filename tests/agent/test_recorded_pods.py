"""Every container that KServe's webhook was recorded to make is understood, word for word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sampan.app.agent_arguments import PROBE, parse
from sampan.app.storage_initializer import make_pairs
from sampan.storage.patterns import Patterns
from sampan.storage.pod_environment import make_patterns, make_pod_options

GOLDEN = Path(__file__).parents[3] / "shared" / "golden"


def containers(value: Any, name: str) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if value.get("name") == name and "args" in value:
            yield value
        for part in value.values():
            yield from containers(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from containers(part, name)


def recorded(name: str) -> list[dict[str, Any]]:
    """Return the distinct containers of a name in the recordings of samples."""
    if not GOLDEN.is_dir():
        pytest.skip(f"no recordings of KServe at {GOLDEN}")
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(GOLDEN.glob("*/*.json")):
        text = path.read_text()
        if f'"{name}"' in text:
            for container in containers(json.loads(text), name):
                found[json.dumps([container["args"], container.get("env")])] = container
    return list(found.values())


def environment(container: dict[str, Any]) -> dict[str, str]:
    """Return the variables; what comes from Secrets is a JSON object, as headers are."""
    return {e["name"]: e.get("value", "{}") for e in container.get("env") or ()}


def test_no_recorded_agent_has_an_argument_without_effect(monkeypatch):
    agents = recorded("agent")
    assert len(agents) >= 8
    for agent in agents:
        monkeypatch.setenv(PROBE, environment(agent)[PROBE])
        options = parse(agent["args"])
        assert options.warnings == ()
        assert [probe.port for probe in options.probes] == [options.component_port]
        assert not (options.log and options.log.skip_verify)
        assert (options.pull or options.batch or options.log) is not None


def test_every_recorded_storage_initializer_has_pairs_and_variables_that_are_read(tmp_path):
    initializers = recorded("storage-initializer")
    assert len(initializers) >= 30
    for initializer in initializers:
        [(uri, folder), *_] = make_pairs(initializer["args"])
        assert "://" in uri
        assert folder.is_relative_to("/mnt")
        given = environment(initializer)
        make_pod_options(given, tmp_path)
        assert make_patterns(given) == Patterns()
