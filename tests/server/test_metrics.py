"""What is counted, and how it reads to Prometheus."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from sampan.server.metrics import Metrics
from sampan.server.metrics_histogram import Histogram
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
    metrics.begin("a").end(predicted(0.002), 0.003, "200")
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
                metrics.begin(model).end(predicted(seconds), seconds, code)
    first, *others = apart
    states = [json.loads(json.dumps(other.state())) for other in others]
    of_models = lambda text: {k: v for k, v in samples(text).items() if "_created" not in k and "model_name" in k}  # noqa: E731, E501  # fmt: skip
    assert of_models(first.render(states)) == of_models(alone.render())


@given(st.lists(st.floats(0, 20) | st.sampled_from(Histogram.BUCKETS), max_size=300), st.data())
def test_what_is_folded_in_parts_is_in_the_bucket_that_prometheus_puts_it_in(seen, data):
    histogram = Histogram()
    for value in seen:
        histogram.observe(value)
        if data.draw(st.booleans()):
            histogram.fold()
    counts = [0] * (len(Histogram.BUCKETS) + 1)
    for value in seen:
        counts[sum(value > bound for bound in Histogram.BUCKETS)] += 1
    state = histogram.state()
    assert state["counts"] == counts
    assert abs(state["sum"] - sum(seen)) < 1e-6


def test_what_is_not_folded_stays_small_however_many_inferences_there_are():
    metrics = Metrics()
    of_a = metrics.of("a")
    sizes = []
    for number in range(2000):
        metrics.begin("a").end(predicted(number / 1000), 0.1, "200")
        sizes.append(sum(h.waiting for h in of_a.histograms.values()))
    assert max(sizes) < 1000
    assert of_a.state()["histograms"]["request_predict_seconds"]["counts"][0] == 6
