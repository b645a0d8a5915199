"""Archives, friendly and hostile: what unpacks, what is refused, and that nothing gets out."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import stat
import tarfile
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sampan.storage.archive.limits import Limits
from sampan.storage.archive.names import ArchiveKind, is_file_name, select_kind, select_member_path
from sampan.storage.archive.unpack import Packed, unpack
from sampan.storage.base import StorageError

LIMITS = Limits(100, 100 * 1024**2, 10.0, lambda _: None)


def member(name: str, data: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, b"", type=kind, linkname=target)


def make_tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def make_zip(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


class Yard:
    """A folder to unpack in, and a wall around it that shows what got out."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.count = 0

    def unpack(self, name: str, data: bytes, limits: Limits = LIMITS) -> dict[str, bytes]:
        self.count += 1
        place = self.root / f"{self.count}"
        folder = place / "a" / "b" / "content"
        folder.mkdir(parents=True)
        (place / name).write_bytes(data)
        bait = folder.parent / "x"
        bait.write_text("outside")
        packed = Packed(place / name, name, select_kind(name))
        try:
            unpack(packed, folder, limits, threading.Event())
        finally:
            around = [p for p in place.rglob("*") if folder not in p.parents]
            beside = [p for p in self.root.iterdir() if not p.is_dir()]
            assert {p for p in around if not p.is_dir()} | set(beside) == {place / name, bait}
            assert bait.read_text() == "outside"
            assert bait.stat().st_nlink == 1
            assert not any(p.is_symlink() for p in around)
        return {
            str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()
        }

    def refuse(self, name: str, data: bytes, limits: Limits = LIMITS) -> StorageError:
        with pytest.raises(StorageError) as caught:
            self.unpack(name, data, limits)
        return caught.value


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


TAR = make_tar(member("m/model.joblib", b"weights"), member("./m/b.txt", b"b"))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("m.tar", TAR),
        ("m.tar.gz", gzip.compress(TAR)),
        ("m.tgz", gzip.compress(TAR)),
        ("m.tar.bz2", bz2.compress(TAR)),
        ("m.tar.xz", lzma.compress(TAR)),
        ("unpacked-by-the-server.tar.gz", TAR),
        ("m.zip", make_zip(("m/model.joblib", b"weights"), ("m/b.txt", b"b"))),
        ("windows.zip", make_zip(("m\\model.joblib", b"weights"), ("m\\b.txt", b"b"))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_format_unpacks_to_its_content(yard, name, data):
    assert yard.unpack(name, data) == {"m/model.joblib": b"weights", "m/b.txt": b"b"}


def test_a_single_gzip_file_loses_its_ending(yard):
    assert yard.unpack("model.bin.gz", gzip.compress(b"w")) == {"model.bin": b"w"}


def test_what_is_unpacked_can_only_be_read_and_keeps_its_x(yard):
    yard.unpack("m.tar", make_tar(member("run", b"", mode=0o4777), member("data", mode=0o666)))
    files = {p.name: stat.S_IMODE(p.stat().st_mode) for p in yard.root.rglob("content/*")}
    assert files == {"run": 0o555, "data": 0o444}


def test_links_inside_are_kept(yard):
    data = make_tar(
        link("latest", "v2"),
        member("v2/model", b"w"),
        link("v2/same", "model"),
        link("hard", "v2/model", tarfile.LNKTYPE),
    )
    found = yard.unpack("m.tar", data)
    assert (found["v2/same"], found["hard"]) == (b"w", b"w")


@pytest.mark.parametrize(
    "name", ["/etc/x", "../x", "a/../../x", "..", "\\x", "a\\..\\..\\x", "C:\\x", "a/..", "n" * 300]
)
def test_a_member_that_would_lead_out_is_refused(yard, name):
    assert yard.refuse("m.tar", make_tar(member(name))).reason == "ArchiveUnsafe"
    assert yard.refuse("m.zip", make_zip((name, b"x"))).reason == "ArchiveUnsafe"


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([link("l", "/etc/passwd")], id="a link to an absolute path"),
        pytest.param([link("l", "../x")], id="a link to a neighbour"),
        pytest.param([link("l", ".."), member("l/x")], id="a file through a link"),
        pytest.param([link("l", "."), link("l/m", "..")], id="a link through a link"),
        pytest.param(
            [member("d/f"), link("d/up", ".."), link("out", "d/up/../x")], id="links that add up"
        ),
        pytest.param([link("l", "l")], id="a link to itself"),
        pytest.param([link("l", "nothing")], id="a link to nothing"),
        pytest.param([link("l", "")], id="a link to no name"),
        pytest.param([link("l", "n" * 5000)], id="a link to an impossible name"),
        pytest.param([link("h", "../x", tarfile.LNKTYPE)], id="a hard link out"),
        pytest.param([link("h", "/etc/passwd", tarfile.LNKTYPE)], id="an absolute hard link"),
        pytest.param(
            [link("s", "/etc/passwd"), link("h", "s", tarfile.LNKTYPE)], id="a hard link to a link"
        ),
        pytest.param([member("f"), member("f/x")], id="a file below a file"),
        pytest.param([member("d/f"), member("d")], id="a file in place of a folder"),
        pytest.param([member("d/f"), link("d", "x")], id="a link in place of a folder"),
        pytest.param(
            [member("f"), link("h", "f", tarfile.LNKTYPE), member("h/x")],
            id="a file below a hard link",
        ),
        pytest.param([link("p", "", tarfile.FIFOTYPE)], id="a pipe"),
        pytest.param([link("c", "", tarfile.CHRTYPE)], id="a device"),
        pytest.param([member("/".join("d" * 100))], id="a hundred folders deep"),
    ],
)
def test_hostile_members_are_refused(yard, members):
    error = yard.refuse("m.tar", make_tar(*members))
    assert error.reason == "ArchiveUnsafe"
    assert not error.retryable


def test_a_zip_link_that_leads_out_is_refused(yard):
    info = zipfile.ZipInfo("l")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert yard.refuse("m.zip", make_zip((info, b"/etc/passwd"))).reason == "ArchiveUnsafe"


def test_a_zip_member_without_a_name_is_invalid(yard):
    data = make_zip(("a", b"x")).replace(b"a", b"\0")
    assert yard.refuse("m.zip", data).reason in {"ArchiveInvalid", "ArchiveUnsafe"}


def test_a_bomb_is_refused_before_it_went_off(yard):
    zeros = b"\0" * (66 * 1024**2)
    dense = make_zip(("z", zeros))
    assert yard.refuse("m.zip", dense).reason == "ArchiveTooLarge"
    error = yard.refuse("m.tar.gz", gzip.compress(make_tar(member("z", zeros)), 1))
    assert error.reason == "ArchiveTooLarge"
    assert "10 times its size" in error.message
    assert sum(p.stat().st_size for p in yard.root.rglob("z")) <= 2 * 64 * 1024**2


def test_more_bytes_or_members_than_allowed_are_refused(yard):
    small = replace(LIMITS, max_bytes=100)
    assert yard.refuse("m.zip", make_zip(("z", b"z" * 101)), small).reason == "ArchiveTooLarge"
    few = replace(LIMITS, max_files=2)
    members = [member(f"{n}") for n in range(3)]
    error = yard.refuse("m.tar", make_tar(*members), few)
    assert (error.reason, "more than 2 members" in error.message) == ("ArchiveTooLarge", True)


def test_a_huge_extended_header_is_not_read_into_memory(yard):
    info, _ = member("x")
    info.pax_headers = {"comment": "c" * (17 * 1024**2)}
    packed = gzip.compress(make_tar((info, b"x")), 1)
    assert yard.refuse("m.tar.gz", packed).reason in {"ArchiveUnsafe", "ArchiveTooLarge"}


def test_a_disk_that_fills_while_unpacking_is_told(yard):
    def full(_needed: int) -> None:
        raise StorageError("DiskFull", "full")

    limits = replace(LIMITS, require_space=full)
    assert yard.refuse("m.zip", make_zip(("z", b"z")), limits).reason == "DiskFull"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("m.zip", TAR),
        ("m.tar", make_zip(("a", b"a"))),
        ("m.tar.gz", gzip.compress(TAR)[:-20]),
        ("m.tar", TAR[:900]),
        ("m.tar", b""),
        ("m.zip", b""),
        ("m.tar.xz", lzma.compress(TAR)[:40] + b"junk" * 20),
        ("m.tar.bz2", b"BZh9" + b"junk" * 20),
        ("m.gz", b"\x1f\x8b" + b"junk" * 20),
        ("m.zip", make_zip(("a", b"a" * 1000))[:-30]),
    ],
)
def test_a_broken_archive_is_invalid_and_names_itself(yard, name, data):
    error = yard.refuse(name, data)
    assert error.reason == "ArchiveInvalid"
    assert f'"{name}"' in error.message


PIECES = st.sampled_from(["..", ".", "/", "\\", "a", "b", "C:", "", "~", " ", "\n", "…", "\0"])
NAMES = st.one_of(st.lists(PIECES, max_size=8).map("".join), st.text(max_size=30))
QUIET = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(NAMES)
def test_a_member_path_never_leads_out(name):
    try:
        parts = select_member_path(name)
    except StorageError:
        return
    assert all(is_file_name(part) for part in parts)


@QUIET
@given(st.lists(st.tuples(NAMES, st.sampled_from("flh"), NAMES), min_size=1, max_size=5))
def test_whatever_a_tar_holds_nothing_is_outside(yard, entries):
    kinds = {"f": tarfile.REGTYPE, "l": tarfile.SYMTYPE, "h": tarfile.LNKTYPE}
    members = []
    for name, kind, target in entries:
        data = b"x" if kind == "f" else b""
        members.append(member(name, data, type=kinds[kind], linkname=target))
    try:
        data = make_tar(*members)
    except (ValueError, UnicodeError):
        return  # the library cannot write such a name
    folder = yard.root / f"{yard.count + 1}" / "a" / "b" / "content"
    try:
        yard.unpack("m.tar", data)
    except StorageError:
        return  # what was refused is thrown away with its folder
    links = [p for p in folder.rglob("*") if p.is_symlink()]
    assert all(p.resolve(strict=True).is_relative_to(folder.resolve()) for p in links)


@QUIET
@given(
    st.lists(NAMES.filter(bool), min_size=1, max_size=5), st.integers(0, 400), st.binary(max_size=9)
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_whatever_a_zip_holds_nothing_is_outside(yard, names, at, damage):
    try:
        data = make_zip(*((name, b"x") for name in names))
    except (ValueError, IndexError):
        return  # the library cannot write such a name
    with contextlib.suppress(StorageError):
        yard.unpack("m.zip", data[:at] + damage + data[at + len(damage) :])


@pytest.mark.parametrize(
    ("name", "query", "kind"),
    [
        ("m.tar.gz", "", ArchiveKind.TAR),
        ("M.ZIP", "", ArchiveKind.ZIP),
        ("model.bin.gz", "", ArchiveKind.GZIP),
        ("model.bin", "file=m.zip", ArchiveKind.NONE),
        ("download", "file=m.zip", ArchiveKind.ZIP),
        ("model.mar", "", ArchiveKind.NONE),
    ],
)
def test_the_name_tells_the_kind(name, query, kind):
    assert select_kind(name, query) is kind
