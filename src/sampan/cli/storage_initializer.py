"""`sampan storage-initializer`: the init container of a pod. Its arguments are KServe's."""

from __future__ import annotations


def storage_initializer(arguments: list[str]) -> None:
    """Fetch models into folders, as a pod's init container: SRC_URI DEST_PATH, repeated."""
    from sampan.app.storage_initializer import main

    raise SystemExit(main(arguments))
