"""An archive that cannot be unpacked leaves nothing behind, however much of it was."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import pytest

from sampan.runtimes.torchserve.archive import unpack


def test_an_archive_that_is_damaged_in_the_middle_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "damaged.mar"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("first.bin", b"a" * 1000)
        made.writestr("second.bin", b"b" * 1000)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"b" * 1000, b"c" * 1000))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "made"))
    (tmp_path / "made").mkdir()
    with pytest.raises(zipfile.BadZipFile, match="second"):
        unpack(path)
    assert list((tmp_path / "made").iterdir()) == []
