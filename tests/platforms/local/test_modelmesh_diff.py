"""From what is seen of a model in shared processes to what should be: the order of an update."""

from __future__ import annotations

import pytest

from sampan.gateway.table import Share, TableRoute
from sampan.mesh.documents import ModelEntry, ModelReport, ModelState, Report
from sampan.mesh.placements import Placement
from sampan.plan.mesh_settings import MeshSettings
from sampan.plan.observed import Link, LinkState, MeshCopy, MeshSeen, Observed
from sampan.plan.types import Component, MeshModel, Workload, mesh_key
from sampan.platforms.local.desired import Desired
from sampan.platforms.local.diff import diff, make_publication
from sampan.platforms.local.modelmesh import describe_memory, make_copy, select_changed
from sampan.platforms.local.modelmesh_diff import diff_model
from sampan.platforms.local.steps import Publish, RemoveModel

HOST = mesh_key("default", "mlserver")
SETTINGS = MeshSettings(capacity=100)
WORKLOAD = Workload(Component.PREDICTOR, "w", {}, "v1-a", 1, "")
MODEL = MeshModel(HOST, WORKLOAD, "new", "sklearn", "/m", settings=SETTINGS)
ROUTE = TableRoute("default/red", ("red.default.localhost",), "/serving/default/red",
                   (Share("default/w"),))  # fmt: skip
DESIRED = Desired(HOST, route=ROUTE, mesh=MODEL)
PUBLISHED = make_publication(ROUTE, ())
DONE = Link(LinkState.DONE)


def observed(
    target: str = "", active: str = "", *, model: str = "new", published: str = PUBLISHED,
    download: Link = DONE, host: str = HOST.name, settings: MeshSettings = SETTINGS,
) -> Observed:  # fmt: skip
    """A placed model with the states of the target and of the active one."""
    old, state = active.startswith("old "), active.removeprefix("old ")
    answering = MeshCopy("old" if old else "new", state) if active else None
    seen = MeshSeen(MeshCopy(model, target), host, settings, answering, download)
    return Observed(published=published, mesh=seen)


def steps(seen: Observed, now: float = 10.0) -> list[str]:
    return [type(step).__name__ for step in diff_model(DESIRED, MODEL, seen, now).steps]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(Observed(), ["PlaceModel"], id="nothing is known: it is brought"),
        pytest.param(observed(published="", download=Link(LinkState.RUNNING), host=""), [],
                     id="it is on its way: it has no way in yet"),
        pytest.param(observed(published=""), ["Publish"], id="it is placed: requests may come"),
        pytest.param(observed("Loading"), [], id="it is loading: nothing to do"),
        pytest.param(observed("Loaded"), ["ActivateModel"], id="it is loaded: it answers"),
        pytest.param(observed("Standby"), ["ActivateModel"], id="it made room again: it answers"),
        pytest.param(observed("Loaded", "Loaded"), [], id="it answers: nothing to do"),
        pytest.param(observed("Loading", "old Loaded"), [], id="the old one answers meanwhile"),
        pytest.param(observed("Loaded", "old Loaded"), ["ActivateModel"], id="the new takes over"),
        pytest.param(observed("FailedToLoad", "old Loaded"), [], id="one that fails does not"),
        pytest.param(observed("Loaded", "Loaded", model="other"), ["PlaceModel"],
                     id="the spec has changed: the new one is brought"),
        pytest.param(observed("Loaded", "Loaded", settings=MeshSettings(1)), ["PlaceModel"],
                     id="the runtime has changed: its processes are told"),
        pytest.param(observed("Loaded", "Loaded", host="other"), ["PlaceModel"],
                     id="another runtime serves it: it is placed there, and asked here until then"),
    ],
)  # fmt: skip
def test_the_steps(seen: Observed, expected: list[str]):
    assert steps(seen) == expected


def test_a_download_that_failed_is_tried_again_when_it_is_due():
    seen = observed(
        published="", host="", download=Link(LinkState.FAILED, "X", "no", retry_at=20.0)
    )
    assert steps(seen, 10.0) == []
    assert diff_model(DESIRED, MODEL, seen, 10.0).wake_at == 20.0
    assert steps(seen, 20.0) == ["PlaceModel"]


def test_a_service_that_goes_takes_its_models_along():
    gone = Desired(HOST)
    found = diff(gone, observed("Loaded", "Loaded"), 10.0).steps
    assert [type(step) for step in found] == [Publish, RemoveModel]
    assert diff(gone, Observed(), 10.0).steps == ()


# -- what processes tell -----------------------------------------------------------------------


def report(pid: int, state: ModelState, message: str = "") -> Report:
    return Report(pid, {"new": ModelReport(state, message, 5.0)})


def test_a_model_is_as_well_as_its_best_copy():
    reports = {1: report(1, ModelState.FAILED, "junk"), 2: report(2, ModelState.LOADED)}
    copy = make_copy("new", reports, {1: "w-0", 2: "w-1"})
    assert (copy.state, copy.copies, copy.failed, copy.location) == ("Loaded", 1, 1, "w-1")


def test_one_that_fails_everywhere_says_why_and_where():
    copy = make_copy("new", {1: report(1, ModelState.FAILED, "junk")}, {1: "w-0"})
    assert (copy.state, copy.message, copy.location) == ("FailedToLoad", "junk", "w-0")


def test_one_that_no_process_knows_is_unknown():
    assert make_copy("x", {1: report(1, ModelState.LOADED)}, {}) == MeshCopy("x")


def test_how_full_the_memory_is_is_told_in_words():
    full = Report(1, report(1, ModelState.LOADED).models, capacity=10, used=8, evictions=3)
    assert describe_memory([full]) == "1 of 1 models hold 8 of 10 bytes, 3 made room for others"
    assert describe_memory([]) == ""


def test_only_services_whose_models_changed_are_told():
    placed = [Placement(name, ModelEntry(model, "f", "/m", 1)) for name, model in
              (("red", "new"), ("blue", "other"))]  # fmt: skip
    before, now = {1: report(1, ModelState.LOADING)}, {1: report(1, ModelState.LOADED)}
    assert select_changed(placed, before, now) == ["red"]
    assert select_changed(placed, now, now) == []
