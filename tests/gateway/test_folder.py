"""Files that Envoy watches: in place at once, whole, private, and not many of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.gateway.config import ConfigFile
from sampan.gateway.folder import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / "gateway")
    made.prepare()
    return made


def names(folder: Folder) -> set[str]:
    return {path.name for path in folder.root.iterdir()}


def test_what_is_handed_is_read_back_and_is_the_users_alone(folder: Folder) -> None:
    folder.hand("routes.pb", b"one")
    assert folder.read("routes.pb") == b"one"
    assert (folder.root / "routes.pb").stat().st_mode & 0o777 == 0o600


def test_who_reads_an_older_one_reads_it_to_its_end(folder: Folder) -> None:
    folder.hand("routes.pb", b"a" * 100_000)
    with (folder.root / "routes.pb").open("rb", buffering=0) as reading:
        begun = reading.read(10)
        for body in (b"b", b"c", b"d"):
            folder.hand("routes.pb", body)
        assert begun + reading.read() == b"a" * 100_000


@given(bodies=st.lists(st.binary(max_size=20), min_size=1, max_size=6))
def test_however_often_it_changes_two_are_kept(
    tmp_path_factory: pytest.TempPathFactory, bodies: list[bytes]
) -> None:
    folder = Folder(tmp_path_factory.mktemp("gateway"))
    for body in bodies:
        folder.hand("routes.pb", body)
        assert folder.read("routes.pb") == body
    assert names(folder) <= {"routes.pb", ".routes.pb.1", ".routes.pb.2"}


def test_a_file_of_an_earlier_version_and_what_a_kill_left_are_no_hindrance(folder: Folder) -> None:
    folder.write("routes.pb", b"a file, not a link")
    folder.write(".routes.pb.1", b"half of some")
    (folder.root / ".routes.pb.link").symlink_to("nowhere")
    folder.hand("routes.pb", b"new")
    assert folder.read("routes.pb") == b"new"
    assert ".routes.pb.link" not in names(folder)


def test_what_stands_there_already_is_not_written_again(folder: Folder) -> None:
    file = ConfigFile("routes.pb", "1", "stat", b"the same")
    assert folder.hand_changed(file)
    before = (folder.root / "routes.pb").stat().st_mtime_ns
    assert not folder.hand_changed(file)
    assert (folder.root / "routes.pb").stat().st_mtime_ns == before
