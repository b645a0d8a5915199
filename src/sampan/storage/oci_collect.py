"""The layers of an image brought here and put together in the stage of a cache's slot.

Unpacked layers are blobs of the cache, by repository and digest: images of one repository that
share a layer share its files, and a layer that is here is not transferred. Files of artifacts are
blobs as those of a hub are.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

from sampan.storage.archive.limits import Limits, make_limits
from sampan.storage.archive.names import ArchiveKind
from sampan.storage.archive.read import Meter, open_unpacked
from sampan.storage.archive.tree import Tree
from sampan.storage.archive.unpack import Packed, guarded
from sampan.storage.blobs import find_blob, keep_blob, link_file
from sampan.storage.cache import make_key
from sampan.storage.download import Partial
from sampan.storage.oci_layer import MODELS, make_room, merge_layer, unpack_layer
from sampan.storage.oci_manifest import Form, Layer
from sampan.storage.oci_registry import Registry
from sampan.storage.pieces import Piece, Together, Yard, run_together, validate_pieces, verify
from sampan.storage.source import Source
from sampan.storage.space import require_space
from sampan.storage.threads import run_blocking


@dataclass(frozen=True, slots=True)
class Image:
    """An image or artifact: its manifest's digest, and the layers that hold files, lowest first."""

    shown: str
    digest: str
    layers: tuple[Layer, ...]


async def collect_layers(image: Image, registry: Registry, yard: Yard) -> list[str]:
    """Put an image's files into the stage; return the top entries of the layers that came."""
    unique = list({blob_name(layer): layer for layer in image.layers}.values())
    validate_pieces(_make_pieces(image), yard, image.shown)
    missing = [layer for layer in unique if not await asyncio.to_thread(_is_here, layer, yard)]
    needed = sum(layer.size for layer in missing)
    options, world = yard.job.options, yard.job.world
    require_space(yard.cache.root, needed, options.reserve_bytes, world.free_bytes)
    together = Together(yard.reporter, sum(layer.size for layer in unique))
    for layer in unique:
        if layer not in missing:
            together.finish(blob_name(layer), layer.size)
    tops: list[str] = []

    async def one(layer: Layer) -> None:
        partial = Partial(yard.slot.work / "layers" / make_key(blob_name(layer)))
        await registry.bring(layer.digest, partial, together.reporter(blob_name(layer)))
        tops.extend(await run_blocking(lambda stop: _take_in(layer, image, partial, yard, stop)))
        together.finish(blob_name(layer), layer.size)

    await run_together([one(layer) for layer in missing])
    await asyncio.to_thread(_merge, image, yard)
    return tops


def blob_name(layer: Layer) -> str:
    """Return the name of a layer's blob: what is unpacked differs by what of it counts. Pure."""
    return layer.digest if layer.form is Form.FILE else f"{layer.form} {layer.digest}"


def _make_pieces(image: Image) -> list[Piece]:
    """Every name that a layer is given counts, and its bytes once."""
    source, seen, pieces = Source("", image.shown, "", "", ""), set[str](), list[Piece]()
    for i, layer in enumerate(image.layers):
        size = 0 if layer.digest in seen else layer.size
        seen.add(layer.digest)
        pieces.append(Piece(layer.title or f"layer {i}", size, layer.digest, source))
    return pieces


def _is_here(layer: Layer, yard: Yard) -> bool:
    """Tell whether a layer's blob is here; a prune leaves for a while what was asked for."""
    try:
        os.utime(find_blob(yard.cache, yard.blob(blob_name(layer))))
    except OSError:
        return False
    return True


def _take_in(
    layer: Layer, image: Image, partial: Partial, yard: Yard, stop: threading.Event
) -> list[str]:
    verify(partial, layer.digest, image.shown, stop)
    if layer.form is Form.FILE:
        partial.body.chmod(0o444)
        keep_blob(yard.cache, yard.blob(layer.digest), partial.body)
        return []
    folder = partial.folder / "tree"
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
    options, free_bytes = yard.job.options, yard.job.world.free_bytes

    def require(needed: int) -> None:
        require_space(folder, needed, options.reserve_bytes, free_bytes)

    tops = _unpack(layer, image, partial.body, (folder, make_limits(options, require)), stop)
    keep_blob(yard.cache, yard.blob(blob_name(layer)), folder)
    partial.drop()
    return tops


def _unpack(
    layer: Layer, image: Image, body: Path, into: tuple[Path, Limits], stop: threading.Event
) -> list[str]:
    folder, limits = into
    tree = Tree(folder, limits)
    meter = Meter(body.stat().st_size, limits, stop, lambda _: None)
    below = MODELS if layer.form is Form.TREE else ""
    with guarded(Packed(body, image.shown, ArchiveKind.TAR)), open_unpacked(body, meter) as data:
        tops = unpack_layer(data, tree, below)
        tree.make_links()
    return tops


def _merge(image: Image, yard: Yard) -> None:
    yard.cache.clear_stage(yard.slot)
    for layer in image.layers:
        name = yard.blob(blob_name(layer))
        if layer.form is not Form.FILE:
            merge_layer(find_blob(yard.cache, name), yard.slot.content)
        elif not link_file(yard.cache, name, make_room(yard.slot.content, layer.title)):
            raise FileNotFoundError(errno.ENOENT, "a layer vanished", str(layer.title))
