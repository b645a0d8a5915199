"""`sampan rollout`, `stop`, `start`: what each reads and which patch it sends."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.cli.output import CliError
from sampan.cli.rollout_history import Kept, render_history, render_revision
from sampan.cli.rollout_patch import (
    make_annotation,
    make_pause,
    make_promotion,
    make_undo,
    select_undone,
)
from sampan.cli.rollout_status import derive_progress
from sampan.machinery.patch import json_patch

A, B, C = "m-predictor-00001", "m-predictor-00002", "m-predictor-00003"


def model(version: str, **fields: Any) -> dict[str, Any]:
    return {"model": {"storageUri": f"file:///{version}"}, **fields}


def service(spec: dict[str, Any] | None = None, **told: Any) -> dict[str, Any]:
    """A service; `told` is its predictor's part of the status."""
    status = {"observedGeneration": 2, "components": {"predictor": told}}
    return {
        "metadata": {"name": "m", "namespace": "default", "resourceVersion": "7", "generation": 2},
        "spec": {"predictor": model("b"), **(spec or {})},
        "status": status,
    }


def shares(*pairs: tuple[str, int]) -> list[dict[str, Any]]:
    return [
        {"revisionName": name, "percent": percent, "latestRevision": index == 0}
        for index, (name, percent) in enumerate(pairs)
    ]


KEPT = [Kept(1, A, model("a")), Kept(2, B, model("b", canaryTrafficPercent=20))]
CANARY = {"latestCreatedRevision": B, "latestReadyRevision": B, "latestRolledoutRevision": A,
          "traffic": shares((B, 20), (A, 80))}  # fmt: skip
ROLLED_OUT = {"latestCreatedRevision": B, "latestReadyRevision": B, "latestRolledoutRevision": B,
              "previousRolledoutRevision": A, "traffic": shares((B, 100))}  # fmt: skip


def patched(obj: dict[str, Any], patch: list[dict[str, Any]]) -> dict[str, Any]:
    return json_patch(obj, patch)


class TestUndo:
    def test_of_a_canary_goes_back_to_what_has_the_rest(self) -> None:
        assert select_undone(service(**CANARY), "predictor", KEPT, 0).name == A

    def test_of_what_is_rolled_out_goes_back_to_the_one_before(self) -> None:
        assert select_undone(service(**ROLLED_OUT), "predictor", KEPT, 0).name == A

    def test_goes_to_the_revision_that_is_named(self) -> None:
        assert select_undone(service(**ROLLED_OUT), "predictor", KEPT, 2).name == B

    def test_puts_the_spec_back_with_all_traffic_and_no_canaries(self) -> None:
        obj = service({"canary": [{"predictor": {"name": "x"}}]}, **CANARY)
        back = patched(obj, make_undo(obj, "predictor", model("a", canaryTrafficPercent=5)))
        assert back["spec"] == {"predictor": model("a")}

    def test_of_a_transformer_leaves_the_predictor_s_canaries(self) -> None:
        obj = service({"canary": [{}], "transformer": {"a": 1}}, **CANARY)
        back = patched(obj, make_undo(obj, "transformer", {"a": 2}))
        assert back["spec"]["transformer"] == {"a": 2}
        assert back["spec"]["canary"] == [{}]

    @pytest.mark.parametrize(
        ("told", "number", "words"),
        [
            pytest.param(CANARY, 9, "revision 9 is not kept; there are 1, 2", id="unknown"),
            pytest.param(
                {**ROLLED_OUT, "previousRolledoutRevision": ""}, 0,
                'no revision of the predictor of "m" was rolled out before', id="the first one",
            ),
            pytest.param(
                {**ROLLED_OUT, "previousRolledoutRevision": B}, 0,
                f'"{B}" is the same as what runs', id="what is there already",
            ),
        ],
    )  # fmt: skip
    def test_that_leads_nowhere_says_so(
        self, told: dict[str, Any], number: int, words: str
    ) -> None:
        obj = service({"predictor": KEPT[1].spec}, **told)
        with pytest.raises(CliError, match=words):
            select_undone(obj, "predictor", KEPT, number)

    def test_tests_the_version_that_it_was_made_for(self) -> None:
        obj = service(**CANARY)
        first = make_undo(obj, "predictor", {})[0]
        assert first == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}


class TestPromote:
    def test_takes_the_share_away(self) -> None:
        obj = service({"predictor": model("b", canaryTrafficPercent=20)})
        assert patched(obj, make_promotion(obj, "predictor", ""))["spec"] == {
            "predictor": model("b")
        }

    def test_makes_an_entry_the_stable_predictor_under_its_name(self) -> None:
        entry = {"trafficPercent": 20, "predictor": {**model("c"), "name": "v2", "minReplicas": 1}}
        obj = service({"predictor": model("b", minReplicas=3), "canary": [entry]})
        assert patched(obj, make_promotion(obj, "predictor", ""))["spec"] == {
            "predictor": {**model("c"), "name": "v2", "minReplicas": 3}
        }

    def test_leaves_the_other_entries(self) -> None:
        entries = [{"predictor": {"name": name}} for name in ("v2", "v3")]
        obj = service({"canary": entries})
        after = patched(obj, make_promotion(obj, "predictor", "v3"))["spec"]
        assert after["predictor"]["name"] == "v3"
        assert after["canary"] == entries[:1]

    @pytest.mark.parametrize(
        ("spec", "canary", "words"),
        [
            pytest.param({}, "", 'the predictor of "m" has no canary', id="none"),
            pytest.param({}, "v9", 'spec.canary has no "v9"; there are none', id="an unknown one"),
            pytest.param(
                {"canary": [{"predictor": {"name": n}} for n in ("a", "b")]}, "",
                'choose with --canary among "a", "b"', id="one of two",
            ),
        ],
    )  # fmt: skip
    def test_says_what_is_missing(self, spec: dict[str, Any], canary: str, words: str) -> None:
        with pytest.raises(CliError, match=words):
            make_promotion(service(spec), "predictor", canary)


class TestAnAnnotation:
    def test_is_made_where_there_was_none(self) -> None:
        after = patched(service(), make_pause(service(), True))
        assert after["metadata"]["annotations"] == {"serving.sampan.dev/rollout-paused": "true"}

    def test_is_taken_away_again(self) -> None:
        paused = patched(service(), make_pause(service(), True))
        assert patched(paused, make_pause(paused, False))["metadata"]["annotations"] == {}

    def test_that_is_not_there_needs_no_patch(self) -> None:
        assert make_annotation(service(), "a/b", "") == []


PROGRESS = {
    "a spec that nobody has looked at": ({"generation": 3}, {}, "waiting for m to be looked at"),
    "a revision that starts": ({}, {**CANARY, "latestReadyRevision": A},
                               f"waiting for {B} to be ready"),
    "a canary with its share": ({"percent": 20}, CANARY, f"{B} ready: {B} 20%, {A} 80%"),
    "a share that still grows": ({"percent": 50}, CANARY, f"{B} has 20 of 50 percent"),
    "a rollout that takes its time": ({}, CANARY, f"{B} has 20 of 100 percent"),
    "all traffic": ({}, ROLLED_OUT, f"{B} successfully rolled out: {B} 100%"),
}  # fmt: skip


@pytest.mark.parametrize("case", PROGRESS.values(), ids=PROGRESS.keys())
def test_what_is_said_of_a_rollout(case: tuple[dict[str, Any], dict[str, Any], str]) -> None:
    fields, told, words = case
    obj = service(**told)
    obj["metadata"]["generation"] = fields.get("generation", 2)
    if "percent" in fields:
        obj["spec"]["predictor"]["canaryTrafficPercent"] = fields["percent"]
    progress = derive_progress(obj, "predictor")
    assert progress.text == words
    assert progress.done is (f"{A} 80%" in words or "successfully" in words)


def test_a_revision_that_cannot_start_ends_the_waiting() -> None:
    obj = service(**{**CANARY, "latestReadyRevision": A})
    obj["status"]["modelStatus"] = {
        "transitionStatus": "BlockedByFailedLoad", "lastFailureInfo": {"message": "no such file"},
    }  # fmt: skip
    progress = derive_progress(obj, "predictor")
    assert (progress.failed, progress.text) == (True, f"{B} does not start: no such file")


def test_a_canary_of_the_list_that_is_not_ready_is_waited_for() -> None:
    obj = service(**ROLLED_OUT)
    obj["status"]["canaryStatuses"] = [{"name": "v2", "ready": False, "trafficPercent": 20}]
    assert derive_progress(obj, "predictor").text == "waiting for canary v2 to be ready"


def test_history_tells_shares_and_what_each_revision_is_now() -> None:
    lines = render_history(service(**CANARY), "predictor", KEPT).splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [["1", A, "80%"], ["2", B, "20%"]]
    assert "rolled out" in lines[1]
    assert "newest" in lines[2]
    assert "file:///b" in lines[2]


def test_a_revision_is_shown_as_its_spec() -> None:
    assert render_revision(KEPT, 1) == "model:\n  storageUri: file:///a"
