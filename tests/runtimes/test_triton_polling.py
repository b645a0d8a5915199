"""Triton's model control mode "poll": the repository's folder is followed."""

from __future__ import annotations

import asyncio
import shutil

import pytest
import tritonclient.http.aio as over_http
from tests.runtimes import onnx_models as models
from tests.runtimes.triton_served import SIMPLE, SUM, given, serve, write_simple
from tritonclient.utils import InferenceServerException

POLL = {"model_control_mode": "poll", "repository_poll_secs": "1"}


async def wait_for(client, rows):
    """Wait until the index has these names, versions and states; a loaded machine may take long."""
    told = None
    for _ in range(600):
        index = await client.get_model_repository_index()
        told = {(one["name"], one.get("version"), one.get("state")) for one in index}
        if told == rows:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(told)


async def test_models_come_change_and_go_with_their_folders(tmp_path):
    root = write_simple(tmp_path / "repository")
    ready = {("simple", "1", "READY")}
    async with (
        serve(root, **POLL) as served,
        over_http.InferenceServerClient(served.address) as client,
    ):
        await wait_for(client, ready)
        made = write_simple(tmp_path / "made") / "simple"
        (made / "config.pbtxt").write_text(SIMPLE.replace('"simple"', '"second"'))
        made.rename(root / "second")
        await wait_for(client, ready | {("second", "1", "READY")})
        answer = await client.infer("second", given(over_http))
        assert answer.as_numpy("OUTPUT0").tolist() == [SUM]
        models.save(models.add_sub(models.INT32), root / "simple" / "2" / "model.onnx")
        await wait_for(client, {("simple", "2", "READY"), ("second", "1", "READY")})
        shutil.rmtree(root / "second")
        for _ in range(600):
            if not await client.is_model_ready("second"):
                break
            await asyncio.sleep(0.1)
        with pytest.raises(InferenceServerException, match="second"):
            await client.infer("second", given(over_http))
        await wait_for(client, {("simple", "2", "READY")})


async def test_a_change_that_does_not_load_leaves_what_serves(tmp_path, caplog):
    root = write_simple(tmp_path)
    async with (
        serve(root, **POLL) as served,
        over_http.InferenceServerClient(served.address) as client,
    ):
        (root / "simple" / "config.pbtxt").write_text('name: "other"')
        for _ in range(600):
            if any("does not load" in message for message in caplog.messages):
                break
            await asyncio.sleep(0.1)
        else:
            raise AssertionError("it was not told")
        answer = await client.infer("simple", given(over_http))
        assert answer.as_numpy("OUTPUT0").tolist() == [SUM]
        with pytest.raises(InferenceServerException, match="--model-control-mode=explicit"):
            await client.load_model("simple")


async def test_an_empty_repository_waits_for_its_first_model(tmp_path):
    root = tmp_path / "repository"
    root.mkdir()
    async with (
        serve(root, **POLL) as served,
        over_http.InferenceServerClient(served.address) as client,
    ):
        await wait_for(client, set())
        (write_simple(tmp_path / "made") / "simple").rename(root / "simple")
        await wait_for(client, {("simple", "1", "READY")})


@pytest.mark.parametrize("seconds", ["0", "soon", "-1"])
async def test_a_wait_that_is_none_is_told(tmp_path, seconds):
    options = {**POLL, "repository_poll_secs": seconds}
    with pytest.raises(ValueError, match=f'--repository-poll-secs is "{seconds}"'):
        await serve(write_simple(tmp_path), **options).__aenter__()
