"""Which TrainedModels are refused, with which words."""

from typing import Any

import pytest

Json = dict[str, Any]


def model(name: str = "m", **source: Any) -> Json:
    given = {"storageUri": "s3://models/m", "framework": "sklearn", "memory": "1Gi", **source}
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "TrainedModel",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"inferenceService": "parent", "model": given},
    }


@pytest.mark.parametrize("scheme", ["s3", "gs", "https", "http"])
def test_a_model_may_lie_where_the_agent_fetches(admit: Any, scheme: str) -> None:
    admitted = admit(model(storageUri=f"{scheme}://models/m"))
    assert (admitted.errors, admitted.denied) == ((), "")


@pytest.mark.parametrize("uri", ["hdfs://models/m", "/models/m", "pvc://a/b", "", "S3://a"])
def test_a_model_may_lie_nowhere_else(admit: Any, uri: str) -> None:
    assert admit(model(storageUri=uri)).denied == (
        'the Trained Model "m" storageUri field is invalid. The storage uri must start with one of '
        f'the prefixes: s3://, gs://, https://, http://. (the storage uri given is "{uri}")'
    )


def test_a_name_of_other_characters_is_refused(admit: Any) -> None:
    assert admit(model(name="a.b")).denied == (
        'the Trained Model "a.b" is invalid: a Trained Model name must consist of alphanumeric '
        "characters, '_', or '-'. (e.g. \"my-Name\" or \"abc_123\", regex used for validation is "
        "'^[a-zA-Z0-9_-]+$')"
    )


def test_memory_stays_what_it_was(admit: Any) -> None:
    assert admit(model(memory="2Gi"), model(memory="1024Mi")).denied == (
        'the Trained Model "m" memory field is immutable. The memory was "1Gi" but it is updated '
        'to "2Gi"'
    )


def test_memory_may_be_written_in_another_way(admit: Any) -> None:
    assert admit(model(memory="1024Mi"), model(memory="1Gi")).denied == ""


def test_all_mistakes_are_told_at_once_in_upstreams_order(admit: Any) -> None:
    admitted = admit(model(name="a.b", storageUri="x", memory="2Gi"), model(name="a.b"))
    assert [cause.path for cause in admitted.causes] == [
        "metadata.name",
        "spec.model.storageUri",
        "spec.model.memory",
    ]


def test_what_is_missing_is_a_mistake_of_the_schema(admit: Any) -> None:
    sent = model()
    sent["spec"]["model"] = {"storageUri": "x"}
    assert [str(error) for error in admit(sent).errors] == [
        "spec.model.framework: Required value",
        "spec.model.memory: Required value",
    ]
