"""What the generators print is read right, and what went wrong under load is never a figure."""

from __future__ import annotations

import pytest

from bench import h2load, wrk

WRK = """Running 3s test @ http://127.0.0.1:8080/x
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.25s   429.62ms   2.98s    62.50%
  Latency Distribution
     50%  750.00us
     75%    2.67s 
     90%    2.88s 
     99%    2.98s 
  1600 requests in 3.05s, 305.53KB read
{extra}Requests/sec:    525.25
Transfer/sec:    100.26KB
95 percent within 2905000 us
"""  # noqa: W291  # wrk's own blanks

H2LOAD = """
finished in 3.00s, 14453.33 req/s, 2.43MB/s
requests: 43360 total, 43376 started, 43360 done, {counts}
status codes: 43360 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 7.28MB (7635108) total, 300.36KB (307567) headers (space savings 97.22%), \
{size}MB ({data}) data
"""


def test_wrk_tells_requests_rate_and_latencies_in_milliseconds() -> None:
    load = wrk.read_report(WRK.format(extra=""))
    assert (load.requests, load.rate) == (1600, 525.25)
    assert (load.p50, load.p95, load.p99) == (0.75, 2905.0, 2980.0)


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param("  Non-2xx or 3xx responses: 3\n", id="refused requests"),
        pytest.param(
            "  Socket errors: connect 0, read 1, write 0, timeout 0\n", id="broken connections"
        ),
    ],
)
def test_a_run_of_wrk_does_not_count_with(extra: str) -> None:
    with pytest.raises(RuntimeError, match="not every request was answered well"):
        wrk.read_report(WRK.format(extra=extra))


def _h2load(counts: str = "43360 succeeded, 0 failed, 0 errored, 0 timeout", each: int = 90) -> str:
    return H2LOAD.format(counts=counts, size="3.9", data=43360 * each)


def test_h2load_tells_calls_a_second() -> None:
    assert h2load.read_report(_h2load(), answer_bytes=60) == 14453.33


@pytest.mark.parametrize(
    ("report", "message"),
    [
        pytest.param(
            _h2load("43350 succeeded, 10 failed, 0 errored, 0 timeout"), "10 failed", id="failures"
        ),
        pytest.param(
            _h2load("0 succeeded, 0 failed, 0 errored, 0 timeout"), "0 succeeded", id="no answer"
        ),
        pytest.param(_h2load(each=0), "some of them failed", id="errors that gRPC sends as 200"),
        pytest.param("killed", "nothing that can be read", id="no report"),
    ],
)
def test_a_run_of_h2load_does_not_count_with(report: str, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        h2load.read_report(report, answer_bytes=60)


def test_a_message_is_framed_as_grpc_frames_it() -> None:
    assert h2load.frame(b"abc") == b"\x00\x00\x00\x00\x03abc"
