"""The context `sampan` in a kubeconfig: added, refreshed, removed; nothing else changes."""

from __future__ import annotations

import os
import stat
import threading
import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sampan.apiserver.kubeconfig import (
    KubeconfigError,
    find_kubeconfig,
    make_entry,
    make_with_context,
    make_without_context,
    remove_context,
    write_context,
)

OTHER = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "work", "cluster": {"server": "https://work:6443"}}],
    "users": [{"name": "me", "user": {"exec": {"command": "login", "args": ["x"]}}}],
    "contexts": [{"name": "work", "context": {"cluster": "work", "user": "me"}}],
    "current-context": "work",
    "preferences": {"colors": True},
}
ENTRY = make_entry("https://127.0.0.1:1", "token", b"PEM")
NAMES = st.sampled_from(["work", "home", "sampan", "kind"])
SECTIONS = {
    section: st.lists(st.builds(lambda n, s=section: {"name": n, s[:-1]: {"x": n}}, NAMES))
    for section in ("clusters", "users", "contexts")
}
CONFIGS = st.fixed_dictionaries({**SECTIONS, "current-context": st.just("") | NAMES})


def without_ours(config):
    return {
        s: [e for e in config.get(s) or [] if e["name"] != "sampan"]
        for s in ("clusters", "users", "contexts")
    }


@given(CONFIGS)
def test_other_contexts_are_never_touched(config):
    added = make_with_context(config, ENTRY)
    assert without_ours(added) == without_ours(config)
    assert without_ours(make_without_context(added)) == without_ours(config)
    assert make_with_context(added, ENTRY) == added


@given(CONFIGS)
def test_the_current_context_stays_unless_empty_or_asked(config):
    before = config["current-context"]
    assert make_with_context(config, ENTRY)["current-context"] == (before or "sampan")
    assert make_with_context(config, ENTRY, use_context=True)["current-context"] == "sampan"
    after = make_without_context(config)["current-context"]
    assert after == ("" if before == "sampan" else before)


def test_a_file_is_made_private_with_its_folder(tmp_path):
    path = tmp_path / "new" / "config"
    write_context(path, "https://127.0.0.1:1", "token", b"PEM")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    config = yaml.safe_load(path.read_text())
    assert config["current-context"] == "sampan"
    assert config["users"] == [{"name": "sampan", "user": {"token": "token"}}]
    assert config["clusters"][0]["cluster"]["certificate-authority-data"] == "UEVN"


def test_a_file_of_others_comes_back_as_it_was(tmp_path):
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(OTHER))
    write_context(path, "https://127.0.0.1:1", "token")
    assert yaml.safe_load(path.read_text())["current-context"] == "work"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert remove_context(path)
    assert yaml.safe_load(path.read_text()) == OTHER
    assert not remove_context(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path):
    real, link = tmp_path / "real", tmp_path / "config"
    real.write_text("{}")
    link.symlink_to(real)
    write_context(link, "https://127.0.0.1:1", "token")
    assert link.is_symlink()
    assert "sampan" in real.read_text()


@pytest.mark.parametrize("text", ["a: [", "- list", "clusters: {a: b}", "\x00"])
def test_what_is_no_kubeconfig_is_refused_and_left_alone(tmp_path, text):
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(KubeconfigError, match="KUBECONFIG"):
        write_context(path, "https://127.0.0.1:1", "token")
    assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


def test_kubectls_lock_is_waited_for(tmp_path):
    path = tmp_path / "config"
    lock = tmp_path / "config.lock"
    lock.touch()
    threading.Timer(0.2, lock.unlink).start()
    begun = time.monotonic()
    write_context(path, "https://127.0.0.1:1", "token")
    assert time.monotonic() - begun > 0.15


@pytest.mark.parametrize(
    ("names", "chosen"),
    [("there", "there"), ("none:there", "there"), ("none:other", "other"), (":there:", "there")],
)
def test_the_file_is_the_one_that_kubectl_would_write(tmp_path, names, chosen):
    (tmp_path / "there").touch()
    paths = os.pathsep.join(str(tmp_path / n) if n else "" for n in names.split(":"))
    assert find_kubeconfig({"KUBECONFIG": paths}) == tmp_path / chosen
