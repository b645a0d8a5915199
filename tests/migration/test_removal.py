"""The operator is taken out of a cluster: models serve on, and what is left is used without it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.migration.test_check import take_over
from tests.migration.test_handover import specs
from tests.operator.conftest import CONFIG, IRIS, RUNTIME, config_map
from tests.operator.played_cluster import PlayedCluster, played_cluster, until
from tests.operator.several_models import trained_model

from sampan.cli.main import main
from sampan.installation.bundle import make_definitions, make_operator
from sampan.installation.options import Options
from sampan.installation.rights import CONVERTED
from sampan.machinery.errors import NotFound
from sampan.machinery.store import Key
from sampan.migration.removal import RIGHTS
from sampan.operator.cluster import RESOURCES
from sampan.operator.finalizing import FINALIZER, TRAINED_MODELS
from sampan.plan import trained_model as trained_model_rules
from sampan.platforms.kubernetes.children import AUTOSCALER
from sampan.webhooks.configurations import DEFINITIONS, MUTATING, VALIDATING

SERVICES = RESOURCES.get("inferenceservices.serving.kserve.io")
DEPLOYMENTS = RESOURCES.get("deployments.apps")
OPTIONS = Options(activators=1)


@pytest.fixture
async def installed(tmp_path: Path) -> AsyncIterator[PlayedCluster]:
    """A cluster with everything of an installation, and a service that the operator made ready."""
    more = (*RIGHTS, MUTATING, VALIDATING, DEFINITIONS)
    async with played_cluster(tmp_path, more=more) as cluster:
        await cluster.ensure_namespace("kserve")
        definitions = [d for d in make_definitions(OPTIONS) if d["metadata"]["name"] in CONVERTED]
        await cluster.create(config_map(CONFIG), RUNTIME, IRIS)
        await take_over(cluster, ["iris"])
        for obj in (*definitions, *make_operator(OPTIONS)):
            resource = cluster.registry.for_object(obj)
            assert resource is not None
            await cluster.store.create(resource.id, json.loads(json.dumps(obj)))
        yield cluster


def call(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return ended.value.code


async def remove(cluster: PlayedCluster, capsys: Any, *more: str) -> list[str]:
    """What `sampan install --handover nobody` tells."""
    arguments = ["install", "--handover", "nobody", "--kubeconfig", str(cluster.kubeconfig), *more]
    code = await asyncio.to_thread(call, *arguments)
    answered = capsys.readouterr()
    assert code == 0, answered.err
    return answered.out.splitlines()


async def left_of_it(cluster: PlayedCluster) -> set[str]:
    found = set()
    for obj in make_operator(OPTIONS):
        resource, metadata = cluster.registry.for_object(obj), obj["metadata"]
        assert resource is not None
        try:
            await cluster.store.get(
                Key(resource.id, metadata.get("namespace") or "", metadata["name"])
            )
        except NotFound:
            continue
        found.add(f"{obj['kind']} {metadata['name']}")
    return found


async def test_models_serve_on_and_nothing_of_the_operator_is_left(installed, capsys):
    held = await specs(installed)
    told = await remove(installed, capsys)
    assert await specs(installed) == held
    assert await left_of_it(installed) == set()
    assert told[0] == 'Deployment "sampan-operator": scaled to zero'
    assert not [text for text in await remove(installed, capsys) if "removed" in text]


@pytest.mark.slow
async def test_a_service_that_is_left_can_be_deleted_and_its_objects_go_with_it(installed, capsys):
    told = await remove(installed, capsys)
    assert 'InferenceService "ml/iris": can be deleted without an operator' in told
    service = await installed.get(SERVICES, "ml", "iris")
    assert FINALIZER not in service["metadata"].get("finalizers", ())
    await installed.store.delete(Key(SERVICES.id, "ml", "iris"))

    async def gone() -> bool:
        return not await installed.children("ml")

    await until(gone, 60)


@pytest.mark.slow
async def test_a_model_that_is_left_can_be_deleted(installed, capsys):
    model = trained_model("extra", "iris", finalizers=[trained_model_rules.FINALIZER])
    model["metadata"]["namespace"] = "ml"
    await installed.store.create(TRAINED_MODELS, model)
    told = await remove(installed, capsys)
    assert 'TrainedModel "ml/extra": can be deleted without an operator' in told
    await installed.store.delete(Key(TRAINED_MODELS, "ml", "extra"))
    with pytest.raises(NotFound):
        await installed.store.get(Key(TRAINED_MODELS, "ml", "extra"))


@pytest.mark.slow
async def test_definitions_stay_and_ask_no_webhook_that_is_gone(installed, capsys):
    await remove(installed, capsys)
    for name in CONVERTED:
        definition = await installed.store.get(Key(DEFINITIONS.id, "", name))
        assert definition["spec"]["conversion"] == {"strategy": "None"}


@pytest.mark.slow
async def test_what_wakes_services_stays_while_any_needs_it(installed, capsys):
    found = await installed.get(DEPLOYMENTS, "ml", "iris-predictor")
    labels = {**found["metadata"].get("labels", {}), AUTOSCALER: "sampan"}
    await installed.store.update(
        DEPLOYMENTS.id, {**found, "metadata": {**found["metadata"], "labels": labels}}
    )
    told = await remove(installed, capsys)
    left = await left_of_it(installed)
    assert "Deployment sampan-activator" in left
    assert {name.partition(" ")[2] for name in left} == {"sampan-activator"}
    assert "wakes 1 workloads" in told[-1]


@pytest.mark.slow
async def test_a_dry_run_tells_the_steps_and_writes_nothing(installed, capsys):
    before = await left_of_it(installed)
    installed.door.forget()
    told = await remove(installed, capsys, "--dry-run")
    assert 'ClusterRole "sampan-operator": removed (dry run)' in told
    assert not installed.door.writes
    assert await left_of_it(installed) == before


@pytest.mark.slow
async def test_the_next_operator_takes_over_what_was_left(installed, capsys):
    await remove(installed, capsys)
    held = await specs(installed)
    operator = await installed.start_operator("next")

    async def known() -> bool:
        service = await installed.get(SERVICES, "ml", "iris")
        return FINALIZER in service["metadata"].get("finalizers", ())

    await until(known, 60)
    await until(lambda: asyncio.sleep(0, operator.work.waiting == 0), 60)
    assert await specs(installed) == held
