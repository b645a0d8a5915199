"""What KServe lets through in silence is told to who applies it, and what cannot run is refused."""

from typing import Any

import pytest

MODEL = {"modelFormat": {"name": "sklearn"}, "storageUri": "s3://m"}


@pytest.mark.parametrize(
    ("predictor", "more", "told"),
    [
        pytest.param(
            {"model": MODEL, "sklearn": {"storageUri": "s3://n"}}, {},
            "spec.predictor.model: spec.predictor.sklearn takes its place, and all that it says is "
            "dropped; remove one of them", id="a model beside a format of its own",
        ),
        pytest.param(
            {"model": MODEL, "timeout": -5}, {},
            "spec.predictor.timeout: -5 has no meaning; write 1 or more, or leave it out",
            id="a timeout below zero",
        ),
        pytest.param(
            {"model": MODEL, "canaryTrafficPercent": 150}, {},
            "spec.predictor.canaryTrafficPercent: 150 has no meaning; write 0 to 100, or leave it "
            "out", id="a share of more than all",
        ),
        pytest.param(
            {"model": MODEL, "scaleTarget": 0}, {},
            "spec.predictor.scaleTarget: 0 has no meaning; write 1 or more, or leave it out",
            id="a target of nothing",
        ),
        pytest.param(
            {"model": {**MODEL, "protocolVersion": "v9"}}, {},
            'spec.predictor.model.protocolVersion: "v9" is not known to any runtime; write one of '
            '"v1", "v2", "grpc-v1", "grpc-v2"', id="a protocol of the future",
        ),
        pytest.param(
            {"model": MODEL}, {"explainer": {"art": {"type": "Nonsense"}}},
            'spec.explainer.art.type: "Nonsense" is not known to any runtime; write one of '
            '"SquareAttack"', id="an explainer that is none",
        ),
    ],
)  # fmt: skip
def test_it_is_allowed_and_told(
    admit: Any, service: Any, predictor: Any, more: Any, told: str
) -> None:
    admitted = admit(service(predictor, **more))
    assert (admitted.errors, admitted.denied) == ((), "")
    assert told in admitted.warnings


def test_a_sound_service_is_met_with_silence(admit: Any, service: Any) -> None:
    assert admit(service({"model": MODEL, "timeout": 5, "canaryTrafficPercent": 10})).warnings == ()


def test_two_claims_at_one_path_are_refused_alone_too(admit: Any, service: Any) -> None:
    uris = [{"uri": f"pvc://{name}", "mountPath": "/mnt/a"} for name in "ab"]
    predictor = {"model": {"modelFormat": {"name": "sklearn"}}, "storageUris": uris}
    assert "PVC storage paths must be unique" in admit(service(predictor)).denied
