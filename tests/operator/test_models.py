"""TrainedModels on a cluster: the list that the agent of their service follows, what is said."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.operator.conftest import CONFIG, RUNTIME, config_map
from tests.operator.several_models import (
    LIST,
    change,
    change_service,
    listed,
    make_many,
    told,
    trained_model,
)
from tests.operator.virtual_cluster import VirtualCluster, virtual_cluster
from tests.operator.virtual_time import run_virtually

from sampan.apiserver.messages import Reply, Request, make_error
from sampan.machinery.errors import Forbidden, NotFound
from sampan.machinery.store import Key
from sampan.operator.finalizing import SERVICES, TRAINED_MODELS
from sampan.operator.remembered import KEPT_SECONDS
from sampan.platforms.kubernetes.modelconfig import MODELS_KEY

Story = Callable[[VirtualCluster], Awaitable[Any]]


def tell(story: Story) -> None:
    """Tell a story in a cluster with a service that takes several models."""

    async def run() -> None:
        async with virtual_cluster() as cluster:
            await cluster.create(config_map(CONFIG), RUNTIME, make_many())
            await cluster.start_operator()
            await cluster.settle()
            await story(cluster)

    run_virtually(run())


async def is_gone(cluster: VirtualCluster, name: str) -> bool:
    try:
        await cluster.store.get(Key(TRAINED_MODELS, "ml", name))
    except NotFound:
        return True
    return False


def test_the_list_is_written_once_however_many_models_come_at_once() -> None:
    async def story(cluster: VirtualCluster) -> None:
        cluster.door.forget()
        await cluster.create(*(trained_model(n, memory="100Mi") for n in ("a", "b", "c")))
        await cluster.settle()
        assert await listed(cluster) == ["a", "b", "c"]
        lists = [
            path
            for method, path in cluster.door.log
            if (method, "configmaps" in path) == ("PATCH", True)
        ]
        assert len(lists) <= 3, "no model is waited for, but none is written twice"
        for name in ("a", "b", "c"):
            path = f"/apis/serving.kserve.io/v1alpha1/namespaces/ml/trainedmodels/{name}"
            assert cluster.door.writes[f"PUT {path}"] == 1
            assert cluster.door.writes[f"PUT {path}/status"] == 1

    tell(story)


def test_what_rests_is_not_written_again_by_this_operator_nor_the_next() -> None:
    async def story(cluster: VirtualCluster) -> None:
        await cluster.create(trained_model("a"))
        await cluster.settle()
        await cluster.stop_operators()
        cluster.door.forget()
        second = await cluster.start_operator("two")
        await cluster.settle()
        second.work.add_all()
        await cluster.settle()
        assert cluster.door.reads
        assert not cluster.door.writes

    tell(story)


def test_a_look_at_models_for_which_nothing_has_changed_asks_for_nothing() -> None:
    async def story(cluster: VirtualCluster) -> None:
        await cluster.create(trained_model("a"))
        await cluster.settle()
        (operator,) = cluster.wires
        operator.work.add_all()  # what was read long ago is read again
        await asyncio.sleep(1)
        cluster.door.forget()
        operator.work.add_all()
        await asyncio.sleep(1)
        assert cluster.door.log == []

    tell(story)


def test_a_list_that_somebody_else_changed_is_read_again_within_a_minute() -> None:
    async def story(cluster: VirtualCluster) -> None:
        await cluster.create(trained_model("a"))
        await cluster.settle()
        found = await cluster.store.get(LIST)
        await cluster.store.update(LIST.resource, {**found, "data": {MODELS_KEY: "[]"}})
        await asyncio.sleep(KEPT_SECONDS + 1)
        (operator,) = cluster.wires
        operator.work.add_all()
        await cluster.settle()
        assert await listed(cluster) == ["a"]

    tell(story)


def test_memory_that_becomes_free_goes_to_who_waits_for_it() -> None:
    async def story(cluster: VirtualCluster) -> None:
        await cluster.create(trained_model("first", memory="2Gi"))
        await cluster.settle()
        await cluster.create(trained_model("second", memory="1Gi"))
        await cluster.settle()
        assert await listed(cluster) == ["first"]
        assert (await told(cluster, "second"))["MemoryResourceAvailable"][0] == "False"
        await cluster.store.delete(Key(TRAINED_MODELS, "ml", "first"))
        await cluster.settle()
        assert await is_gone(cluster, "first")
        assert await listed(cluster) == ["second"]
        assert (await told(cluster, "second"))["Ready"][0] == "True"

    tell(story)


def test_a_model_that_comes_before_its_service_waits_for_it_and_says_so() -> None:
    async def story(cluster: VirtualCluster) -> None:
        await cluster.create(trained_model("early", service="later"))
        await cluster.settle()
        status, message = (await told(cluster, "early"))["Ready"]
        assert status == "False"
        assert 'InferenceService "later" does not exist' in message
        service = make_many()
        service["metadata"]["name"] = "later"
        await cluster.create(service)
        await cluster.settle()
        assert (await told(cluster, "early"))["Ready"] == ("True", "")
        list_of = await cluster.store.get(Key("configmaps", "ml", "modelconfig-later-0"))
        assert "early" in list_of["data"][MODELS_KEY]

    tell(story)


def test_a_model_whose_service_never_came_can_be_deleted() -> None:
    async def story(cluster: VirtualCluster) -> None:
        await cluster.create(trained_model("lost", service="nobody"))
        await cluster.settle()
        await cluster.store.delete(Key(TRAINED_MODELS, "ml", "lost"))
        await cluster.settle()
        assert await is_gone(cluster, "lost")

    tell(story)


def test_a_model_that_goes_to_another_service_leaves_the_list_of_the_first() -> None:
    async def story(cluster: VirtualCluster) -> None:
        await cluster.create(trained_model("moved"), trained_model("stays"))
        await cluster.settle()
        await change(cluster, "moved", inferenceService="elsewhere")
        await cluster.settle()
        assert await listed(cluster) == ["stays"]
        assert "elsewhere" in (await told(cluster, "moved"))["Ready"][1]

    tell(story)


def test_models_stay_listed_while_their_service_is_away_for_a_moment() -> None:
    async def story(cluster: VirtualCluster) -> None:
        await cluster.create(trained_model("kept"))
        await cluster.settle()
        cluster.players.held = True
        for obj in (await cluster.store.list("deployments.apps")).items:
            await cluster.players.play_deployment(obj)
        await cluster.settle()
        assert (await told(cluster, "kept"))["InferenceServiceReady"][0] == "False"
        assert await listed(cluster) == ["kept"], "the agent would unload it"
        await cluster.players.let_go()
        await cluster.settle()
        assert (await told(cluster, "kept"))["Ready"][0] == "True"

    tell(story)


def test_models_come_back_with_a_service_that_was_stopped() -> None:
    async def story(cluster: VirtualCluster) -> None:
        await cluster.create(trained_model("kept"))
        await cluster.settle()
        await change_service(cluster, **{"serving.kserve.io/stop": "true"})
        await cluster.settle()
        assert (await told(cluster, "kept"))["Ready"][0] == "False"
        await change_service(cluster)
        await cluster.settle()
        assert await listed(cluster) == ["kept"]
        assert (await told(cluster, "kept"))["Ready"][0] == "True"

    tell(story)


def test_a_list_that_was_deleted_by_hand_is_written_again_with_its_models() -> None:
    async def story(cluster: VirtualCluster) -> None:
        await cluster.create(trained_model("kept"))
        await cluster.settle()
        await cluster.store.delete(LIST)
        await change(cluster, "kept", inferenceService="many")
        await change_service(cluster, looked="again")
        await cluster.settle()
        assert await listed(cluster) == ["kept"]

    tell(story)


def test_a_refused_write_of_the_list_is_said_of_the_model_and_tried_again() -> None:
    async def story(cluster: VirtualCluster) -> None:
        message = 'configmaps is forbidden: User "operator" cannot patch resource "configmaps"'

        async def refuse(request: Request) -> Reply | None:
            about = request.method == "PATCH" and "configmaps" in request.path
            return make_error(Forbidden(message)) if about else None

        cluster.door.fault = refuse
        await cluster.create(trained_model("held"))
        await cluster.settle()
        status, text = (await told(cluster, "held"))["Ready"]
        assert status == "False"
        assert message in text
        assert "the operator's role must allow that" in text
        cluster.door.fault = None
        await cluster.settle()
        assert (await told(cluster, "held"))["Ready"] == ("True", "")
        assert await listed(cluster) == ["held"]

    tell(story)


def test_a_model_for_a_service_of_modelmesh_mode_says_what_to_do_instead() -> None:
    async def story(cluster: VirtualCluster) -> None:
        service = make_many()
        annotations = {"serving.kserve.io/deploymentMode": "ModelMesh"}
        service["metadata"] |= {"name": "meshed", "annotations": annotations}
        await cluster.create(service, trained_model("mesh", service="meshed"))
        await cluster.settle()
        status, message = (await told(cluster, "mesh"))["IsMMSPredictor"]
        assert status == "False"
        assert "give each an InferenceService of its own" in message

    tell(story)


def test_models_go_with_their_service() -> None:
    async def story(cluster: VirtualCluster) -> None:
        await cluster.create(trained_model("a"), trained_model("b"))
        await cluster.settle()
        await cluster.store.delete(Key(SERVICES, "ml", "many"))
        await cluster.settle()
        assert await is_gone(cluster, "a")
        assert await is_gone(cluster, "b")
        with pytest.raises(NotFound):
            await cluster.store.get(LIST)

    tell(story)
