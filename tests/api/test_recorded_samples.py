"""Every sample gets KServe's verdict, in KServe's words, and KServe's defaults."""

from typing import Any

from sampan.api.schema.fields import completed_object
from sampan.api.scheme import REGISTRY
from sampan.machinery.errors import Invalid, Subject
from sampan.machinery.registry import Admitted, Resource

BETTER_VERDICTS = {
    # KServe's defaulter crashes on a service without a predictor and answers with the panic.
    "inferenceservice-sklearn-iris-b8c3cf": (
        422,
        'InferenceService.serving.kserve.io "sklearn-iris" is invalid: spec: Required value',
    ),
}
"""Samples that are judged otherwise here, with the answer that they get instead."""

WITHOUT_WEBHOOK = ("LLMInferenceService", "LLMInferenceServiceConfig")
"""Kinds whose manager was not there when KServe was recorded: what the schema alone makes."""

CONVERTED = ("llminferenceserviceconfig-custom-config-llm-template-642640",)
"""Samples of an older version whose fields the recorder, without conversion, dropped."""


def verdict(resource: Resource, name: str, admitted: Admitted) -> tuple[int, str]:
    """Return code and message, as the API server answers them."""
    if admitted.errors:
        return 422, Invalid(
            Subject(resource.kind, name, resource.group), [*admitted.errors]
        ).message
    if admitted.denied:
        webhook = f"{resource.singular}.kserve-webhook-server.validator"
        return 403, f'admission webhook "{webhook}" denied the request: {admitted.denied}'
    return 201, ""


def test_a_sample_is_judged_and_defaulted_as_kserve_does(
    recordings: Any, admit: Any, setup: str, sample_name: str
) -> None:
    sample, recorded = recordings.sample(sample_name), recordings.recorded(setup, sample_name)
    resource = REGISTRY.for_object(sample)
    if resource is None:
        assert recorded["admission"]["code"] == 404, "a kind that KServe serves is not served here"
        return
    neighbours = () if resource.namespaced else recordings.runtimes()
    admitted = admit(sample, None, recordings.configuration(setup), neighbours)
    expected = recorded["admission"]["code"], recorded["admission"]["message"]
    found = verdict(resource, sample["metadata"]["name"], admitted)
    assert found == BETTER_VERDICTS.get(sample_name, expected)
    if recorded["admission"]["allowed"]:
        same = shaped(resource, sample, admitted) == recorded["defaulted"]
        assert same is (sample_name not in CONVERTED)


def shaped(resource: Resource, sample: Any, admitted: Admitted) -> Any:
    """Return the sample with what KServe filled in when it was recorded."""
    if resource.kind not in WITHOUT_WEBHOOK:
        return admitted.obj
    assert resource.schema is not None
    return completed_object(resource.schema(), sample)


def test_unknown_fields_of_a_sample_are_named_as_kserve_names_them(
    recordings: Any, setup: str, sample_name: str
) -> None:
    sample, recorded = recordings.sample(sample_name), recordings.recorded(setup, sample_name)
    resource = REGISTRY.for_object(sample)
    if resource is None:
        return
    assert resource.unknown is not None
    named = [error.message.partition("; did you mean")[0] for error in resource.unknown(sample)]
    assert named == recorded["admission"]["warnings"]


def test_a_sample_that_is_allowed_stays_allowed_and_the_same(
    recordings: Any, admit: Any, setup: str, sample_name: str
) -> None:
    sample = recordings.sample(sample_name)
    allowed = recordings.recorded(setup, sample_name)["admission"]["allowed"]
    if not allowed:
        return
    configuration = recordings.configuration(setup)
    once = admit(sample, None, configuration)
    twice = admit(once.obj, once.obj, configuration)
    assert (twice.obj, twice.errors, twice.denied) == (once.obj, (), "")
