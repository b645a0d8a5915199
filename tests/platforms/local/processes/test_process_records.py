"""The folder of records: what is forgotten is gone, whoever writes there at that moment."""

import threading
from pathlib import Path

from sampan.platforms.local.records import Records
from sampan.platforms.local.zygote_child import write_exit


def test_a_replica_is_forgotten_while_its_zygote_writes_how_it_ended(tmp_path: Path) -> None:
    records = Records(tmp_path)
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            write_exit(str(tmp_path / "r1"), "uid", 1, 0)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(300):
            folder = records.folder("r1")
            (folder / "record.json").write_text("{")
            records.remove("r1")
            assert not folder.exists()
    finally:
        done.set()
        writer.join()
    assert not list(tmp_path.iterdir())


def test_what_a_crash_left_half_forgotten_is_cleared_by_the_next_daemon(tmp_path: Path) -> None:
    (tmp_path / ".gone-x").mkdir()
    (tmp_path / ".gone-x" / "record.json").write_text("{}")
    assert Records(tmp_path).names() == ()
    assert not list(tmp_path.iterdir())


def test_forgetting_what_is_not_known_is_no_error(tmp_path: Path) -> None:
    Records(tmp_path).remove("r1")
    assert not list(tmp_path.iterdir())
