"""What is counted, and how it reads to Prometheus."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from sampan.server.metrics import Metrics
from sampan.server.steps import Ran


def predicted(seconds: float) -> Ran:
    ran = Ran()
    ran.predict = seconds
    return ran


def samples(text: bytes) -> dict[str, float]:
    """Return the samples of a scrape: name with labels to value."""
    lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_an_inference_is_counted_with_its_code_and_its_time():
    metrics = Metrics()
    metrics.begin("a")
    metrics.begin("a")
    metrics.observe("a", predicted(0.002), 0.003, "200")
    seen = samples(metrics.render())
    assert seen['kserve_inference_requests_total{code="200",model_name="a"}'] == 1
    assert seen['kserve_inference_duration_seconds_bucket{le="0.0025",model_name="a"}'] == 0
    assert seen['kserve_inference_duration_seconds_bucket{le="0.005",model_name="a"}'] == 1
    assert seen['kserve_inference_duration_seconds_sum{model_name="a"}'] == 0.003
    assert seen['kserve_inference_in_flight{model_name="a"}'] == 1
    assert seen['request_predict_seconds_count{model_name="a"}'] == 1
    assert 'request_explain_seconds_count{model_name="a"}' not in seen


def test_batches_queues_loads_and_refusals_are_counted():
    metrics = Metrics()
    metrics.observe_batch("a", 3, [0.001, 0.2])
    metrics.observe_load("a", 1.5, success=True)
    metrics.observe_load("a", 0.1, success=False)
    metrics.refused("a", "503")
    metrics.set_queue_length(lambda: {"a": 7})
    seen = samples(metrics.render())
    assert seen['kserve_inference_batch_size_bucket{le="2.0",model_name="a"}'] == 0
    assert seen['kserve_inference_batch_size_bucket{le="4.0",model_name="a"}'] == 1
    assert seen['kserve_inference_queue_seconds_count{model_name="a"}'] == 2
    assert seen['kserve_inference_queue_length{model_name="a"}'] == 7
    assert seen['kserve_model_load_total{result="success",model_name="a"}'] == 1
    assert seen['kserve_model_load_total{result="failure",model_name="a"}'] == 1
    assert seen['kserve_model_load_duration_seconds_sum{model_name="a"}'] == 1.6
    assert seen['kserve_inference_requests_total{code="503",model_name="a"}'] == 1


def test_a_name_that_would_break_the_format_is_escaped():
    metrics = Metrics()
    metrics.refused('a"b\\c\nd', "503")
    assert rb'model_name="a\"b\\c\nd"' in metrics.render()


observations = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.integers(0, 100_000).map(lambda n: n / 1024),  # sums of these are exact
        st.sampled_from(["200", "400", "500"]),
    )
)


@given(st.lists(observations, min_size=1, max_size=4))
def test_the_sum_of_processes_is_what_one_process_would_have_counted(processes):
    alone = Metrics()
    apart = []
    for seen in processes:
        apart.append(Metrics())
        for metrics in (alone, apart[-1]):
            for model, seconds, code in seen:
                metrics.begin(model)
                metrics.observe(model, predicted(seconds), seconds, code)
    first, *others = apart
    states = [json.loads(json.dumps(other.state())) for other in others]
    of_models = lambda text: {k: v for k, v in samples(text).items() if "_created" not in k and "model_name" in k}  # noqa: E731, E501  # fmt: skip
    assert of_models(first.render(states)) == of_models(alone.render())
