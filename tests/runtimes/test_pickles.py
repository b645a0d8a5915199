"""Pickles may name only what is on the list; hostile ones execute nothing."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import lzma
import operator
import os
import pickle
import zlib
from collections import OrderedDict
from pathlib import Path

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import SVC

import sampan.runtimes
from sampan.runtimes.model_files import open_model_file
from sampan.runtimes.pickles import Untrusted, load_restricted, parse_names

ALLOWED = parse_names((Path(sampan.runtimes.__file__).parent / "sklearn_allowed.txt").read_text())


class Calls:
    """Pickles as a call."""

    def __init__(self, function, *arguments, state=None):
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.parts


def by_name(module: str, name: str, *operands: bytes) -> bytes:
    """Return the opcodes that import a name and call it with the text operands."""
    texts = b"".join(b"\x8c" + bytes([len(o)]) + o for o in operands)
    count = {0: b")", 1: b"\x85", 2: b"\x86"}[len(operands)]
    return f"c{module}\n{name}\n".encode() + texts + count + b"R."


MARK = "/tmp/sampan-test-mark-that-must-not-exist"
TOUCH = f"touch {MARK}"
HOSTILE = {
    "os.system": pickle.dumps(Calls(os.system, TOUCH)),
    "posix.system by name": by_name("posix", "system", TOUCH.encode()),
    "subprocess": by_name("subprocess", "getoutput", TOUCH.encode()),
    "eval": by_name("builtins", "eval", b"__import__('os').system('touch ')"),
    "exec in Python 2's name": by_name("__builtin__", "eval", b"1"),
    "getattr": by_name("builtins", "getattr", b"a", b"upper"),
    "a partial": pickle.dumps(functools.partial(os.system, TOUCH)),
    "attrgetter": pickle.dumps(operator.attrgetter("system")),
    "methodcaller": pickle.dumps(operator.methodcaller("system", TOUCH)),
    "an attribute of an allowed class": b"\x80\x04\x8c\x05numpy\x8c\x11ndarray.__class__\x93.",
    "a module reached through an allowed one": b"\x80\x04\x8c\x05numpy\x8c\x09os.system\x93.",
    "numpy's import by name": by_name("numpy.core", "_ufunc_reconstruct", b"os", b"system"),
    "numpy's loader": by_name("numpy", "load", b"/etc/passwd"),
    "joblib's loader": by_name("joblib", "load", b"/etc/passwd"),
    "joblib's old array": by_name("joblib.numpy_pickle_compat", "NDArrayWrapper", b"a", b"b"),
    "scipy.stats, which builds code from text": by_name("scipy.stats", "norm"),
    "torch's loader": by_name("torch.storage", "_load_from_bytes", b"x"),
    "pandas' reader": by_name("pandas", "read_pickle", b"http://127.0.0.1:1/x"),
    "an import": by_name("importlib", "import_module", b"antigravity"),
    "code": by_name("types", "CodeType"),
    "a file": by_name("io", "open", b"/etc/passwd"),
    "a browser": by_name("webbrowser", "open", b"http://127.0.0.1:1/"),
    "a debugger": by_name("pdb", "run", TOUCH.encode()),
    "a nested pickle": by_name("pickle", "loads", pickle.dumps(1)),
    "a name with a line end": b"cos\nsystem\n\x8c\x01x\x85R.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pickle_executes_nothing(name):
    Path(MARK).unlink(missing_ok=True)
    with pytest.raises(Untrusted) as caught:
        load_restricted(io.BytesIO(HOSTILE[name]), ALLOWED)
    assert caught.value.name
    assert not Path(MARK).exists()


def test_a_pickle_inside_an_array_of_objects_is_held_to_the_same_list(tmp_path):
    joblib.dump(np.array([Calls(os.system, TOUCH)], dtype=object), tmp_path / "m.joblib")
    with (
        (tmp_path / "m.joblib").open("rb") as file,
        pytest.raises(Untrusted, match=r"posix\.system"),
    ):
        load_restricted(file, ALLOWED)
    assert not Path(MARK).exists()


@pytest.mark.parametrize("target", [SVC, np.log1p])
def test_the_state_of_a_class_or_a_function_cannot_be_set(target):
    blob = pickle.dumps(target)[:-1] + pickle.dumps((None, {"predict": 1}))[2:-1] + b"b."
    before = dict(vars(SVC))
    with pytest.raises(Untrusted):
        load_restricted(io.BytesIO(blob), ALLOWED)
    assert dict(vars(SVC)) == before


def test_the_extension_registry_is_no_way_around():
    blob = b"\x80\x02\x82\x01."
    with pytest.raises((ValueError, Untrusted)):
        load_restricted(io.BytesIO(blob), ALLOWED)


def test_a_persistent_id_is_refused():
    with pytest.raises(pickle.UnpicklingError):
        load_restricted(io.BytesIO(b"Pos.system\n."), ALLOWED)


def test_no_name_on_the_list_imports_opens_or_evaluates():
    forbidden = {"eval", "exec", "compile", "open", "getattr", "setattr", "__import__", "load",
                 "loads", "system", "partial", "attrgetter", "methodcaller", "memmap",
                 "_ufunc_reconstruct", "fromfile", "apply_along_axis", "vectorize"}  # fmt: skip
    for line in ALLOWED:
        module, _, name = line.partition(":")
        assert name not in forbidden, line
        assert name.isidentifier(), line
        assert module.split(".")[0] in {
            "numpy", "scipy", "sklearn", "builtins", "__builtin__", "copyreg", "copy_reg",
            "collections", "datetime", "_codecs",
        }, line  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400))
def test_a_damaged_model_ends_in_an_error_and_never_in_a_call(noise, place):
    blob = bytearray(pickle.dumps({"a": OrderedDict(b=np.arange(3)), "c": SVC()}, 4))
    place %= len(blob)
    blob[place : place + len(noise)] = noise
    try:
        load_restricted(io.BytesIO(bytes(blob)), ALLOWED)
    except (Exception, MemoryError):  # noqa: BLE001  # any error is right, a call is not
        assert not Path(MARK).exists()


ARRAYS = [
    np.arange(6).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.array(3.5),
    np.zeros((0, 4)),
    np.array(["a", "bb"]),
    np.array([1, "x", None], dtype=object),
    np.array([1, 2], dtype=">i4"),
    np.array(["2020-01-01"], dtype="datetime64[D]"),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype} {a.shape}")
@pytest.mark.parametrize("compress", [0, "zlib", "gzip", "bz2", "xz", "lzma"])
def test_joblibs_arrays_are_read_as_joblib_reads_them(tmp_path, array, compress):
    value = {"first": array, "second": [array, array]}
    path = tmp_path / "m.joblib"
    joblib.dump(value, path, compress=compress)
    with open_model_file(path) as file:
        ours = load_restricted(file, ALLOWED)
    theirs = joblib.load(path)
    for mine, other in zip(
        [ours["first"], *ours["second"]], [theirs["first"], *theirs["second"]], strict=True
    ):
        assert mine.dtype == other.dtype
        assert mine.shape == other.shape
        assert np.array_equal(mine, other)


@pytest.mark.parametrize("pack", [zlib.compress, gzip.compress, bz2.compress, lzma.compress, bytes])
@pytest.mark.parametrize("protocol", range(6))
def test_plain_pickles_of_every_protocol_are_read_however_they_are_packed(tmp_path, pack, protocol):
    path = tmp_path / "m.pkl"
    path.write_bytes(pack(pickle.dumps({"a": np.arange(5), "b": (1, 2.5, "c")}, protocol)))
    with open_model_file(path) as file:
        value = load_restricted(file, ALLOWED)
    assert value["a"].tolist() == [0, 1, 2, 3, 4]
    assert value["b"] == (1, 2.5, "c")


def test_an_array_that_promises_more_than_the_file_holds_costs_no_memory(tmp_path):
    path = tmp_path / "m.joblib"
    joblib.dump(np.zeros(1000), path)
    blob = path.read_bytes().replace(b"M\xe8\x03", b"J\xff\xff\xff\x7f")
    with pytest.raises(EOFError, match="array data ends"):
        load_restricted(io.BytesIO(blob), ALLOWED)
