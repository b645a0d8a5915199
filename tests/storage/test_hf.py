"""Models of a Hugging Face hub, from a server that speaks its API."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.storage.hub_server import HubServer

from sampan.storage.base import StorageError
from sampan.storage.cache import open_cache
from sampan.storage.hf_uri import make_hub, parse_model
from sampan.storage.patterns import Patterns
from sampan.storage.pruning import prune

WEIGHTS = hashlib.shake_128(b"weights").digest(300_000)
FILES = {"config.json": b'{"a": 1}', "model.safetensors": WEIGHTS, "onnx/model.onnx": b"o" * 2000}


@pytest.fixture
async def hub(bench) -> AsyncIterator[HubServer]:
    served = HubServer()
    await served.start()
    served.commit(FILES)
    bench.set(
        allowed_private_hosts=("127.0.0.1", "localhost"), environment={"HF_ENDPOINT": served.root}
    )
    yield served
    await served.stop()


def read_all(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


async def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110  # another process's files have no event
            await asyncio.sleep(0.02)


async def refused(bench, uri: str = "hf://owner/model") -> StorageError:
    with pytest.raises(StorageError) as caught:
        await bench.fetch(uri)
    return caught.value


async def test_a_model_becomes_a_folder_of_its_files(hub, bench):
    fetched = await bench.fetch("hf://owner/model")
    assert read_all(fetched.path) == FILES
    assert (fetched.size, fetched.cached) == (sum(map(len, FILES.values())), False)


async def test_progress_counts_all_files_towards_the_whole(hub, bench):
    await bench.fetch("hf://owner/model")
    last = bench.told[-1]
    assert last.done == last.total == sum(map(len, FILES.values()))


async def test_an_unchanged_commit_transfers_nothing(hub, bench):
    first = await bench.fetch("hf://owner/model")
    assert hub.transferred() == first.size
    second = await bench.fetch("hf://owner/model")
    assert (second.path, second.cached, hub.transferred()) == (first.path, True, 0)


async def test_of_a_new_commit_only_what_changed_is_transferred(hub, bench):
    first = await bench.fetch("hf://owner/model")
    hub.transferred()
    hub.commit({**FILES, "config.json": b'{"a": 2}'})
    second = await bench.fetch("hf://owner/model")
    assert hub.transferred() == len(b'{"a": 2}')
    assert read_all(second.path)["config.json"] == b'{"a": 2}'
    assert read_all(first.path) == FILES
    same = [folder.path / "model.safetensors" for folder in (first, second)]
    assert same[0].samefile(same[1])


async def test_a_revision_that_went_back_is_served_from_the_cache(hub, bench):
    first = await bench.fetch("hf://owner/model")
    hub.commit({"config.json": b"new"})
    await bench.fetch("hf://owner/model")
    hub.commit(FILES)
    assert (await bench.fetch("hf://owner/model")).path == first.path


async def test_a_commit_is_served_without_asking_once_it_is_here(hub, bench):
    commit = hub.branches["main"]
    first = await bench.fetch(f"hf://owner/model:{commit}")
    await hub.stop()
    again = await bench.fetch(f"hf://owner/model:{commit}")
    assert (again.path, again.note) == (first.path, "")


async def test_branches_are_models_of_their_own(hub, bench):
    hub.commit({"config.json": b"two"}, branch="v2.0")
    assert read_all((await bench.fetch("hf://owner/model:v2.0")).path) == {"config.json": b"two"}
    assert read_all((await bench.fetch("hf://owner/model")).path) == FILES


async def test_a_hub_that_is_away_leaves_the_copy_and_a_note(hub, bench):
    first = await bench.fetch("hf://owner/model")
    await hub.stop()
    again = await bench.fetch("hf://owner/model")
    assert again.path == first.path
    assert again.note.startswith("the copy of ")


async def test_without_a_copy_a_hub_that_is_away_is_an_error(hub, bench):
    await hub.stop()
    error = await refused(bench)
    assert (error.reason, error.retryable) == ("ConnectionFailed", True)


async def test_offline_nobody_is_asked(hub, bench):
    first = await bench.fetch("hf://owner/model")
    hub.seen.clear()
    bench.set(environment={**bench.options.environment, "HF_HUB_OFFLINE": "1"})
    assert (await bench.fetch("hf://owner/model")).path == first.path
    assert "HF_HUB_OFFLINE" in (await refused(bench, "hf://owner/other")).message
    assert hub.seen == []


async def test_long_lists_come_in_pages(hub, bench):
    files = {f"part-{i:03}.txt": b"%d" % i for i in range(25)}
    hub.commit(files)
    hub.page = 10
    assert read_all((await bench.fetch("hf://owner/model")).path) == files


async def test_patterns_choose_before_anything_is_transferred(hub, bench):
    bench.set(patterns=Patterns(("*.json", "*.onnx"), ("onnx/*",)))
    fetched = await bench.fetch("hf://owner/model")
    assert read_all(fetched.path) == {"config.json": FILES["config.json"]}
    assert (hub.transferred(), fetched.chosen) == (8, True)
    bench.set(patterns=Patterns(("*.gguf",)))
    error = await refused(bench)
    assert (error.reason, "*.gguf" in error.message) == ("ModelNotFound", True)


async def test_cut_downloads_go_on_where_they_ended(hub, bench):
    hub.commit({"model.safetensors": WEIGHTS})
    hub.cuts = [100_000, 50_000]
    fetched = await bench.fetch("hf://owner/model")
    assert read_all(fetched.path) == {"model.safetensors": WEIGHTS}
    assert hub.transferred() == len(WEIGHTS)


async def test_a_fetch_that_was_given_up_goes_on_at_the_next(hub, bench):
    hub.commit({"model.safetensors": WEIGHTS})
    bench.set(attempts=1)
    hub.cuts = [200_000]
    assert (await refused(bench)).reason == "DownloadTruncated"
    assert hub.transferred() == 200_000
    assert read_all((await bench.fetch("hf://owner/model")).path) == {"model.safetensors": WEIGHTS}
    assert hub.transferred() == 100_000


KILLED = """
import asyncio, pathlib, sys
from sampan.storage.base import FetchOptions
from sampan.storage.fetch import fetch
root = pathlib.Path(sys.argv[1])
options = FetchOptions(cache=root / "cache", volumes=root, allowed_private_hosts=("*",),
                       reserve_bytes=0, environment={"HF_ENDPOINT": sys.argv[2]})
asyncio.run(fetch("hf://owner/model", options))
"""


async def test_a_fetch_that_is_killed_leaves_what_was_there_for_the_next(hub, bench, tmp_path):
    hub.commit({"whole.bin": b"w" * 5000, "z.bin": WEIGHTS})
    hub.large, hub.hold_after = 100_000, 150_000
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, str(tmp_path), hub.root
    )
    await asyncio.wait_for(hub.held.wait(), 60)
    await until(lambda: any((tmp_path / "cache").glob("blobs/*")))
    process.send_signal(signal.SIGKILL)
    await process.wait()
    hub.hold_after = None
    hub.released.set()
    hub.seen.clear()
    fetched = await bench.fetch("hf://owner/model")
    assert read_all(fetched.path) == {"whole.bin": b"w" * 5000, "z.bin": WEIGHTS}
    assert [r.path for r in hub.seen if r.path.endswith("whole.bin")] == []


async def test_other_bytes_than_were_promised_are_refused(hub, bench):
    def lie(request):
        if "/storage/" not in request.path:
            return None
        status, headers, body = hub.answer(request)
        return status, headers, body[:-1] + b"?"

    hub.act = lie
    error = await refused(bench)
    assert error.reason == "ChecksumMismatch"
    assert bench.published == []
    hub.act = lambda _: None
    assert read_all((await bench.fetch("hf://owner/model")).path) == FILES


async def test_the_token_goes_to_the_hub_and_nowhere_else(hub, bench):
    hub.token = "hf_secret"
    bench.set(environment={**bench.options.environment, "HF_TOKEN": "hf_secret"})
    await bench.fetch("hf://owner/model")
    told = {"/storage/" in r.path: r.headers.get("authorization") for r in hub.seen}
    assert told == {False: "Bearer hf_secret", True: None}


async def test_the_token_of_the_hubs_own_command_line_is_taken(hub, bench, tmp_path):
    hub.token = "hf_kept"
    (tmp_path / "token").write_text("hf_kept\n")
    bench.set(environment={**bench.options.environment, "HF_HOME": str(tmp_path)})
    assert read_all((await bench.fetch("hf://owner/model")).path) == FILES


@pytest.mark.parametrize(
    ("uri", "token", "reason", "mend"),
    [
        ("hf://owner/nothing", "", "ModelNotFound", "HF_TOKEN if it is private"),
        ("hf://owner/nothing", "hf_x", "ModelNotFound", "check owner and name"),
        ("hf://owner/model:v9", "", "RevisionNotFound", 'no revision "v9"'),
    ],
)
async def test_what_the_hub_does_not_have_is_named(hub, bench, uri, token, reason, mend):
    bench.set(environment={**bench.options.environment, "HF_TOKEN": token})
    error = await refused(bench, uri)
    assert error.reason == reason
    assert mend in error.message
    assert "hf_x" not in error.message


@pytest.mark.parametrize(
    ("token", "mend"), [("", "give a token"), ("hf_x", "with the account of this token")]
)
async def test_a_gated_model_names_where_its_terms_are(hub, bench, token, mend):
    hub.gated, hub.token = True, "hf_of_somebody_else"
    bench.set(environment={**bench.options.environment, "HF_TOKEN": token})
    error = await refused(bench)
    assert error.reason == "GatedModel"
    assert mend in error.message
    assert f"{hub.root}/owner/model" in error.message


async def test_a_gated_model_that_is_here_is_served_to_nobody_else(hub, bench):
    hub.gated, hub.token = True, "hf_ours"
    around = bench.options.environment
    bench.set(environment={**around, "HF_TOKEN": "hf_ours"})
    await bench.fetch("hf://owner/model")
    for token in ("", "hf_x"):
        bench.set(environment={**around, "HF_TOKEN": token})
        assert (await refused(bench)).reason == "GatedModel"
    hub.act = lambda r: (404, {}, b"") if r.path.endswith("/auth-check") else None  # a mirror
    bench.set(environment={**around, "HF_TOKEN": "hf_ours"})
    assert (await bench.fetch("hf://owner/model")).cached


async def test_a_private_model_asks_for_a_token(hub, bench):
    hub.token = "hf_secret"
    assert (await refused(bench)).reason == "ModelNotFound"
    bench.set(environment={**bench.options.environment, "HF_TOKEN": "hf_wrong"})
    hub.act = lambda _: (401, {"X-Error-Message": "Invalid credentials in header"}, b"")
    assert (await refused(bench)).reason == "AuthenticationFailed"


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/revision/", b"<html>", "UnexpectedContent"),
        ("/revision/", b"[]", "UnexpectedContent"),
        ("/revision/", b'{"sha": "../../x"}', "UnexpectedContent"),
        ("/tree/", b'{"error": 1}', "UnexpectedContent"),
        ("/tree/", b'[{"type": "file", "path": "a", "oid": "x", "size": 1}]', "UnexpectedContent"),
        ("/tree/", b'[{"type": "file", "path": "a", "oid": "%s", "size": -1}]' % (b"0" * 40),
         "UnexpectedContent"),
        ("/tree/", b'[{"type": "file", "path": "../a", "oid": "%s", "size": 1}]' % (b"0" * 40),
         "SourceRefused"),
        ("/tree/", b'[{"type": "file", "path": "/etc/a", "oid": "%s", "size": 1}]' % (b"0" * 40),
         "SourceRefused"),
        ("/tree/", b'[{"type": "file", "path": "a", "oid": "%s", "size": 99e15}]' % (b"0" * 40),
         "DownloadTooLarge"),
        ("/tree/", b"[" * 50_000, "UnexpectedContent"),
        ("/tree/", b"[]", "ModelNotFound"),
    ],
)  # fmt: skip
async def test_what_no_hub_answers_is_refused(hub, bench, path, body, reason):
    hub.act = lambda r: (200, {}, body) if path in r.path else None
    error = await refused(bench)
    assert error.reason == reason
    assert bench.published == []


async def test_a_list_does_not_lead_to_another_host(hub, bench):
    hub.act = lambda r: (
        (200, {"Link": '<http://10.0.0.1/x>; rel="next"'}, b"[]") if "/tree/" in r.path else None
    )
    assert (await refused(bench)).reason == "UnexpectedContent"


async def test_a_hub_on_a_private_address_is_refused_unless_allowed(hub, bench):
    bench.set(allowed_private_hosts=())
    error = await refused(bench)
    assert (error.reason, "127.0.0.1" in error.message) == ("SourceRefused", True)


async def test_a_model_that_does_not_fit_is_refused_before_it_comes(hub, bench):
    bench.set(reserve_bytes=2**60)
    assert (await refused(bench)).reason == "DiskFull"
    assert hub.transferred() == 0


async def test_several_fetches_of_one_model_transfer_it_once(hub, bench):
    fetched = await asyncio.gather(*(bench.fetch("hf://owner/model") for _ in range(3)))
    assert len({f.path for f in fetched}) == 1
    assert hub.transferred() == fetched[0].size


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("hf://model", "an owner and a model"),
        ("hf://a/b/c", "an owner and a model"),
        ("hf:///b", "owner is empty"),
        ("hf://a/", "model is empty"),
        ("hf://a/b:", "revision is empty"),
        ("hf://a/..", "no possible name"),
        ("hf://a/b c", "no possible name"),
        ("hf://a/b:v?x", "no possible name"),
    ],
)
def test_a_uri_that_names_no_model_is_told_in_kserves_words(uri, why):
    with pytest.raises(StorageError, match=r"Invalid Hugging Face URI format\. Expected") as caught:
        parse_model(uri)
    assert (caught.value.reason, why in caught.value.message) == ("InvalidURI", True)


@pytest.mark.parametrize("endpoint", ["ftp://hub", "hub.lan", "https://u:p@hub"])
def test_an_endpoint_that_cannot_be_asked_is_named(endpoint):
    with pytest.raises(StorageError, match="HF_ENDPOINT") as caught:
        make_hub({"HF_ENDPOINT": endpoint})
    assert "u:p" not in caught.value.message


def test_a_token_with_a_line_in_it_is_refused_without_showing_it():
    with pytest.raises(StorageError) as caught:
        make_hub({"HF_TOKEN": "hf_\nabc"})
    assert "abc" not in caught.value.message


@given(st.text())
def test_any_text_is_a_model_or_an_invalid_uri(text):
    try:
        model = parse_model(f"hf://{text}")
    except StorageError as error:
        if error.reason != "InvalidURI":
            raise
        return
    assert f"{model.repository}:{model.revision}".startswith(text)


async def test_a_fetch_loses_nothing_to_a_prune_beside_it(hub, bench):
    hub.commit({f"part-{i}": bytes([i]) * 5000 for i in range(40)})
    cache, over = open_cache(bench.options.cache), asyncio.Event()

    async def prune_all_the_time() -> int:
        times = 0
        while not over.is_set():
            await asyncio.to_thread(prune, cache, time.time())
            times += 1
        return times

    pruning = asyncio.create_task(prune_all_the_time())
    fetched = await bench.fetch("hf://owner/model")
    over.set()
    assert await pruning > 0
    assert len(read_all(fetched.path)) == 40


async def test_a_silent_hub_is_told_after_the_seconds_that_are_allowed(hub, bench):
    hub.commit({"model.safetensors": WEIGHTS})
    hub.hold_after = 100
    bench.set(stall_seconds=0.5, attempts=1)
    error = await refused(bench)
    assert (error.reason, error.retryable) == ("DownloadStalled", True)
    hub.released.set()
