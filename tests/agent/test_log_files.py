"""The agent's log as files: names, formats and batches as KServe's agent writes them."""

from __future__ import annotations

import asyncio
import base64
import csv
import io
import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.agent.agent_process import wait_for

from sampan.agent.event_sink import describe
from sampan.agent.events import REQUEST, RESPONSE, Event, Origin
from sampan.agent.log import Batching, Log, Trouble
from sampan.agent.marshalling import FORMATS
from sampan.agent.records import COLUMNS, Record, Shelf, make_record, make_row
from sampan.agent.store_sink import make_key
from sampan.app.agent_arguments import PROBE, parse
from sampan.wire.upstream_answer import Answer

ORIGIN = Origin("m-pod", "m", "ml", "predictor", "", frozenset({"x-tenant"}), {"team": "a"})
SHELF = Shelf("s3://bucket/logs", ORIGIN, "logs", "service-ca.crt")


def event(name: str = "7", kind: str = REQUEST, body: bytes = b'{"instances": [1]}') -> Event:
    return Event(name, kind, 1_700_000_000.0, b"application/json", body, '{"X-Tenant": ["t"]}')


EVENTS = st.lists(
    st.builds(
        Event,
        st.text(min_size=1),
        st.sampled_from([REQUEST, RESPONSE]),
        st.just(0.0),
        st.just(b"text/plain"),
        st.binary(),
        st.dictionaries(st.text(), st.lists(st.text())).map(json.dumps),
    )
)


# -- records ---------------------------------------------------------------------------------------


def test_a_record_has_kserve_s_names_in_their_order():
    record = make_record(event(), SHELF)
    assert tuple(record) == (*COLUMNS, "occurrenceTime")
    assert base64.b64decode(record["bytes"]) == b'{"instances": [1]}'
    assert {k: record[k] for k in ("url", "id", "sourceUri", "inferenceService", "certName")} == {
        "url": "s3://bucket/logs", "id": "7", "sourceUri": "m-pod", "inferenceService": "m",
        "certName": "service-ca.crt",
    }  # fmt: skip
    assert (record["metadata"], record["annotations"]) == ({"X-Tenant": ["t"]}, {"team": "a"})
    assert record["occurrenceTime"] == "2023-11-14T22:13:20Z"


def test_one_record_is_an_object_and_several_are_an_array():
    records = [make_record(event(name), SHELF) for name in "ab"]
    assert json.loads(FORMATS["json"](records[:1])) == records[0]
    assert json.loads(FORMATS["json"](records)) == records


@given(EVENTS)
def test_a_table_of_commas_has_each_record_whatever_it_holds(events):
    records = [make_record(one, SHELF) for one in events]
    names, *rows = csv.reader(io.StringIO(FORMATS["csv"](records).decode(), newline=""))
    assert tuple(names) == COLUMNS
    assert rows == [[_shown(cell) for cell in make_row(record)] for record in records]


def _shown(cell: str | bool) -> str:
    return str(cell).lower() if isinstance(cell, bool) else cell


@given(EVENTS)
def test_parquet_is_read_by_arrow_as_it_was_written(events):
    pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow reads Parquet; it is not installed")
    records = [make_record(one, SHELF) for one in events]
    read = pq.read_table(io.BytesIO(FORMATS["parquet"](records)))
    assert read.column_names == list(COLUMNS)
    assert read.to_pylist() == [dict(zip(COLUMNS, make_row(r), strict=True)) for r in records]


def test_parquet_of_a_table_is_these_bytes():
    """Seen to be read by Arrow, whole and empty; held here where it is not installed."""
    made = FORMATS["parquet"]([make_record(event(), SHELF)])
    assert (made[:4], made[-4:]) == (b"PAR1", b"PAR1")
    footer = int.from_bytes(made[-8:-4], "little")
    assert made[-8 - footer :].startswith(b"\x15\x02\x19\xfc\x0f\x48\x06schema\x15\x1c")
    assert make_record(event(), SHELF)["bytes"].encode() in made


@pytest.mark.parametrize(
    ("prefix", "path", "extension", "wanted"),
    [
        pytest.param("/logs", "/in/", "json", "logs/ml/m/predictor/in/7-request.json", id="all"),
        pytest.param("", "", "csv", "ml/m/predictor/7-request.csv", id="no path of either"),
        pytest.param("var", "x", "a/b", "var/ml/m/predictor/x/7-request.a_b", id="a slash"),
    ],
)
def test_where_a_batch_is_kept(prefix, path, extension, wanted):
    assert make_key(event(), Shelf("s3://b", ORIGIN, prefix), path, extension) == wanted


@given(st.text(min_size=1))
@example("\xe9" * 300)
def test_an_id_leads_to_no_other_folder(name):
    folder, _, file = make_key(event(name), SHELF, "in", "json").rpartition("/")
    assert folder == "logs/ml/m/predictor/in"
    assert file.endswith("-request.json")
    assert not file.startswith("..")
    assert len(file.encode()) < 255  # of a name of ext4


# -- batches ---------------------------------------------------------------------------------------


async def test_events_are_delivered_so_many_at_once_and_the_rest_at_the_end():
    batches: list[Sequence[Event]] = []

    async def deliver(events: Sequence[Event]) -> None:
        batches.append(events)

    log = Log(deliver, 1, Batching(3))
    log.start()
    for name in "abcdefgh":
        log.add(event(name))
    await log.close(30)
    assert ["".join(e.id for e in batch) for batch in batches] == ["abc", "def", "gh"]


async def test_an_interval_ends_a_batch_that_is_not_full():
    batches: asyncio.Queue[Sequence[Event]] = asyncio.Queue()
    log = Log(batches.put, 1, Batching(1000, 0.05))
    log.start()
    log.add(event())
    async with asyncio.timeout(30):
        assert len(await batches.get()) == 1
    await log.close(30)


@pytest.mark.parametrize(
    ("count", "bytes_each"),
    [
        pytest.param(20_000, 1, id="more events than may wait"),
        pytest.param(100, 1 << 20, id="more bytes than may wait"),
    ],
)
async def test_a_batch_that_could_never_wait_goes_in_parts(count, bytes_each, caplog):
    seen: list[Event] = []

    async def deliver(events: Sequence[Event]) -> None:
        seen.extend(events)

    log = Log(deliver, 1, Batching(10 * count))
    log.start()
    one = event(body=bytes(bytes_each))
    for number in range(count):
        log.add(one)
        if number % 8 == 0:
            await asyncio.sleep(0)
    await log.close(30)
    assert (len(seen), caplog.text) == (count, "")


@pytest.mark.parametrize(
    ("status", "lasts"), [(400, True), (413, True), (408, False), (429, False), (503, False)]
)
def test_only_what_will_be_refused_again_is_not_sent_again(status, lasts):
    assert describe(Answer(status, b"", b"")) == Trouble(f"the sink answered {status}", lasts)


async def test_what_is_not_taken_is_tried_again_and_what_never_will_be_is_dropped(caplog):
    tries: list[str] = []

    async def deliver(events: Sequence[Event]) -> Trouble | None:
        tries.append(events[0].id)
        if events[0].id == "never":
            return Trouble("no such bucket", lasts=True)
        return Trouble("busy") if tries.count("later") < 2 else None

    log = Log(deliver, 1)
    log.start()
    log.add(event("never"))
    log.add(event("later"))
    await log.close(30)
    assert tries == ["never", "later", "later"]
    assert "1 events of the log were dropped so far: no such bucket" in caplog.text


# -- a process -------------------------------------------------------------------------------------

LOGGED = ("--source-uri", "m-pod", "--inference-service", "m", "--namespace", "ml",
          "--component", "predictor")  # fmt: skip


def ask(running: Any, name: str) -> None:
    url = f"{running.url}/v1/models/m:predict"
    answer = httpx.post(url, json={"instances": [1]}, headers={"Ce-Id": name}, timeout=30)
    assert answer.json() == {"predictions": [2]}


def read(path: Path) -> list[Record]:
    found = json.loads(path.read_text())
    return found if isinstance(found, list) else [found]


def test_each_request_and_answer_is_a_file_that_nobody_else_reads(peer, agent, tmp_path):
    _, port = peer()
    running = agent(
        "--component-port", str(port), "--log-url", f"file://{tmp_path}/kept",
        "--log-store-path", "in", *LOGGED,
    )  # fmt: skip
    ask(running, "7")
    folder = tmp_path / "kept" / "ml" / "m" / "predictor" / "in"
    both = {f"7-{kind}.json" for kind in ("request", "response")}
    wait_for(lambda: folder.is_dir() and {p.name for p in folder.iterdir()} == both)
    request, response = (read(folder / name)[0] for name in sorted(both))
    assert json.loads(base64.b64decode(request["bytes"])) == {"instances": [1]}
    assert json.loads(base64.b64decode(response["bytes"])) == {"predictions": [2]}
    assert (folder / "7-request.json").stat().st_mode & 0o077 == 0


def test_what_waits_for_a_full_batch_is_written_at_the_end(peer, agent, tmp_path):
    _, port = peer()
    running = agent(
        "--component-port", str(port), "--log-url", f"file://{tmp_path}/kept", "--log-mode",
        "request", "--log-batch-size", "3", "--log-store-format", "csv", *LOGGED,
    )  # fmt: skip
    for name in "abcd":
        ask(running, name)
    assert running.stop() == 0
    files = {p.name: p for p in (tmp_path / "kept").rglob("*.csv")}
    assert files.keys() == {"c-request.csv", "d-request.csv"}
    rows = [list(csv.DictReader(path.open())) for path in files.values()]
    assert sorted(row["id"] for part in rows for row in part) == ["a", "b", "c", "d"]


def test_nothing_waits_for_a_full_batch_while_the_agent_stops(peer, agent, tmp_path):
    _, port = peer()
    running = agent(
        "--component-port", str(port), "--log-url", f"file://{tmp_path}/kept", "--log-mode",
        "request", "--log-batch-size", "1000", "--shutdown-delay", "300", *LOGGED,
    )  # fmt: skip

    def kept() -> set[str]:
        return {path.name[0] for path in (tmp_path / "kept").rglob("*.json")}

    ask(running, "a")
    running.process.send_signal(signal.SIGTERM)
    wait_for(lambda: kept() == {"a"})
    ask(running, "b")
    wait_for(lambda: kept() == {"a", "b"})


def test_a_server_of_one_s_own_makes_the_files(peer, agent, tmp_path):
    _, port = peer()
    given: list[Any] = []

    def made(asked: Any) -> tuple[int, dict[str, str], bytes]:
        given.extend(json.loads(asked.body))
        return 200, {"X-Log-Marshal-Extension": "avro"}, b"made"

    _, own = peer(made)
    running = agent(
        "--component-port", str(port), "--log-url", f"file://{tmp_path}/kept", "--log-mode",
        "response", "--log-marshaller-url", f"http://127.0.0.1:{own}/marshal", *LOGGED,
    )  # fmt: skip
    ask(running, "7")
    path = tmp_path / "kept" / "ml" / "m" / "predictor" / "7-response.avro"
    wait_for(path.exists)
    assert path.read_bytes() == b"made"
    assert [(record["id"], record["reqType"]) for record in given] == [("7", RESPONSE)]


# -- arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(["--log-url", "ftp://x"], "write http:// or https://", id="a scheme"),
        pytest.param(["--log-url", "file://host/x"], "names no folder", id="a host of files"),
        pytest.param(
            ["--log-url", "file:///x", "--log-batch-interval", "10"], '"10" is no duration',
            id="no unit",
        ),
        pytest.param(
            ["--log-url", "file:///x", "--log-store-format", "xml"], "'json', 'csv', 'parquet'",
            id="a format",
        ),
        pytest.param(["--log-url", "file:///x", "--log-batch-size", "0"], '"0"', id="no events"),
        pytest.param(
            ["--log-url", "file:///x", "--log-marshaller-url", "x"], "--log-marshaller-url",
            id="a marshaller that is no address",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_value(arguments, told, capsys, monkeypatch):
    monkeypatch.setenv(PROBE, "")
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_what_stores_are_told_has_no_effect_on_an_address(monkeypatch):
    monkeypatch.setenv(PROBE, "")
    options = parse(
        ["--log-url", "http://sink", "--log-store-path", "x", "--log-batch-size", "9",
         "--log-marshaller-port", "1"]
    )  # fmt: skip
    assert [warning.split()[0] for warning in options.warnings] == [
        "--log-marshaller-port", "--log-store-path", "--log-batch-size",
    ]  # fmt: skip
    assert options.log is not None
    assert options.log.batching == Batching()
