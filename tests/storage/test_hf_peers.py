"""The Hub's own client downloads from the tests' hub: what it is shaped like is no invention."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.storage.hub_server import HubServer

DOWNLOAD = """
import sys
from huggingface_hub import errors, snapshot_download
for revision, token in (("v9", "hf_ours"), ("main", False)):
    try:
        snapshot_download("owner/model", revision=revision, local_dir=sys.argv[1], token=token)
    except errors.HfHubHTTPError as error:
        print(type(error).__name__)
snapshot_download("owner/model", local_dir=sys.argv[1], token="hf_ours")
"""
FILES = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 1000, "a/b.txt": b"b"}


async def download_by_theirs(hub: HubServer, folder: Path) -> list[str]:
    """Have the Hub's client download everything, and return the errors that it met before."""
    settings = {"HF_ENDPOINT": hub.root, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DOWNLOAD, str(folder), stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **settings, "HF_HOME": str(folder.parent / "home")},
    )  # fmt: skip
    told, _ = await asyncio.wait_for(process.communicate(), 100)
    assert process.returncode == 0
    return told.decode().split()


async def test_the_hubs_own_client_and_ours_have_the_same_files(bench, tmp_path):
    hub = HubServer(gated=True, token="hf_ours")
    await hub.start()
    try:
        commit = hub.commit(FILES)
        refusals = await download_by_theirs(hub, tmp_path / "theirs")
        bench.set(
            allowed_private_hosts=("127.0.0.1", "localhost"),
            environment={"HF_ENDPOINT": hub.root, "HF_TOKEN": "hf_ours"},
        )
        ours = (await bench.fetch(f"hf://owner/model:{commit}")).path
    finally:
        await hub.stop()
    assert refusals == ["RevisionNotFoundError", "GatedRepoError"]
    for name, data in FILES.items():
        assert (tmp_path / "theirs" / name).read_bytes() == data
        assert (ours / name).read_bytes() == data
