"""Where models may come from: public addresses, and others by name only."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.storage.addresses import describe, select_addresses
from sampan.storage.base import FetchOptions, StorageError
from sampan.storage.source import make_credentials, parse_source, select_redirect
from sampan.storage.uri import redact


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("93.184.215.14", "public"),
        ("2606:4700::1111", "public"),
        ("127.0.0.1", "loopback"),
        ("127.8.8.8", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("64:ff9b::7f00:1", "loopback"),
        ("2002:7f00:1::", "loopback"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("fd12::1", "private"),
        ("100.64.0.1", "private"),
        ("169.254.1.1", "link-local"),
        ("fe80::1", "link-local"),
        ("169.254.169.254", "metadata"),
        ("::ffff:169.254.169.254", "metadata"),
        ("fd00:ec2::254", "metadata"),
        ("168.63.129.16", "metadata"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("224.0.0.1", "multicast"),
        ("240.0.0.1", "reserved"),
    ],
)
def test_each_address_has_its_kind(address, kind):
    assert describe(ipaddress.ip_address(address)) == kind


@pytest.mark.parametrize(
    ("address", "allowed", "passes"),
    [
        pytest.param("93.184.215.14", (), True, id="public needs no permission"),
        pytest.param("10.0.0.1", (), False, id="private is refused"),
        pytest.param("10.0.0.1", ("h",), True, id="unless the host is named"),
        pytest.param("10.0.0.1", ("10.0.0.1",), True, id="or the address"),
        pytest.param("10.0.0.1", ("10.0.0.0/8",), True, id="or its network"),
        pytest.param("10.0.0.1", ("11.0.0.0/8",), False, id="but not another network"),
        pytest.param("10.0.0.1", ("*",), True, id="a star allows private"),
        pytest.param("127.0.0.1", ("*",), True, id="a star allows loopback"),
        pytest.param("169.254.169.254", ("*",), False, id="a star allows no metadata"),
        pytest.param("fe80::1%eth0", ("*",), False, id="a star allows no link-local"),
        pytest.param("0.0.0.0", ("*",), False, id="a star allows no unspecified"),
        pytest.param("169.254.169.254", ("169.254.169.254",), True, id="a name allows anything"),
    ],
)
def test_permission_is_by_name(address, allowed, passes):
    if passes:
        assert select_addresses("h", [address], allowed) == [address]
    else:
        with pytest.raises(StorageError, match='add "h" to the allowed private hosts') as caught:
            select_addresses("h", [address], allowed)
        assert caught.value.reason == "SourceRefused"


def test_of_many_addresses_only_the_allowed_are_left():
    assert select_addresses("h", ["127.0.0.1", "1.1.1.1"], ()) == ["1.1.1.1"]


@given(st.ip_addresses())
def test_what_is_public_is_global(address):
    if describe(address) == "public":
        assert address.is_global or getattr(address, "sixtofour", None)


async def test_a_name_that_means_loopback_is_refused(origin, bench):
    bench.set(allowed_private_hosts=())
    for host in ("127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1"):
        with pytest.raises(StorageError) as caught:
            await bench.fetch(f"http://{host}:{origin.port}/m.bin")
        assert caught.value.reason == "SourceRefused"
    assert origin.seen == []


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/x",
        "file:///etc/passwd",
        "ftp://h/x",
    ],
)
async def test_a_redirect_leads_to_no_forbidden_place(origin, bench, target):
    origin.acts = [origin.act.status(302, Location=target)]
    with pytest.raises(StorageError) as caught:
        await bench.fetch(f"{origin.root}/m.bin")
    assert caught.value.reason == "SourceRefused"
    assert not caught.value.retryable


async def test_a_name_that_changes_its_meaning_is_connected_to_as_checked(origin, bench):
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    asked = []

    async def look_up(host, port):
        asked.append(host)
        return next(answers)

    bench.world = replace(bench.world, look_up=look_up)
    fetched = await bench.fetch(f"http://rebinding.example:{origin.port}/m.bin")
    assert fetched.size == 5
    assert asked == ["rebinding.example"]
    assert origin.seen[0].headers["host"] == f"rebinding.example:{origin.port}"


async def test_redirects_are_followed_and_end(origin, bench):
    origin.acts = [origin.act.status(302, Location="/other")]
    assert (await bench.fetch(f"{origin.root}/m.bin")).size == 5
    origin.acts = [origin.act.status(302, Location="/again")] * 20
    with pytest.raises(StorageError, match="redirects more than 10 times"):
        await bench.fetch(f"{origin.root}/loop.bin")


async def test_credentials_stay_with_their_origin(origin, bench):
    bench.set(headers={"X-Token": "secret"})
    elsewhere = f"http://localhost:{origin.port}/there"
    origin.acts = [origin.act.status(307, Location=elsewhere)]
    await bench.fetch(f"http://me:pass@127.0.0.1:{origin.port}/m.bin")
    first, second = (a.headers for a in origin.seen)
    assert (first["authorization"], first["x-token"]) == ("Basic bWU6cGFzcw==", "secret")
    assert "authorization" not in second
    assert "x-token" not in second


async def test_no_secret_is_in_errors_progress_or_the_cache(origin, bench):
    origin.acts = [origin.act.status(500), origin.act.status(403)]
    uri = f"http://me:hunter2@127.0.0.1:{origin.port}/m.bin?sig=hunter2"
    with pytest.raises(StorageError) as caught:
        await bench.fetch(uri)
    await bench.fetch(uri)
    kept = [p.read_text() for p in bench.options.cache.rglob("*.json")]
    assert kept
    for text in (str(caught.value), str(bench.told), *kept):
        assert "hunter2" not in text


def test_the_headers_of_a_host_go_to_that_host_only(tmp_path):
    options = FetchOptions(tmp_path, tmp_path, host_headers={"h": {"A": "1"}}, headers={"B": "2"})
    source = parse_source("https://h/m.bin")
    assert make_credentials(source, options, "https://h/m.bin") == {"A": "1", "B": "2"}
    assert make_credentials(source, options, "https://h:8443/x") == {"A": "1"}
    assert make_credentials(source, options, "https://other/x") == {}


def test_https_is_not_left_for_http():
    with pytest.raises(StorageError, match="plain http"):
        select_redirect("https://h/a", "http://h/a", "https://h/a")
    assert select_redirect("http://h/a/b", "../c?d=1#e", "") == "http://h/c?d=1"


@pytest.mark.parametrize(
    ("uri", "word"),
    [
        ("https://", "host"),
        ("https://h", "filename"),
        ("https://h/a/", "filename"),
        ("https://h:99999/a", "port"),
        ("https://h/a b", "host"),
        ("https://h/..%2Fx%00", "filename"),
        ("https://h/a%2Fb", "filename"),
        ("https://h/a#v1", "#sha256="),
        ("https://h/a.git", "Git"),
        ("https://[::1/a", "host"),
        ("https://h/a\r\nX: y", "host"),
        (f"https://{'x' * 70}.example/a", "host"),
    ],
)
def test_a_uri_that_cannot_be_asked_for_is_refused(uri, word):
    with pytest.raises(StorageError, match=word) as caught:
        parse_source(uri)
    assert caught.value.reason in {"InvalidURI", "UnsupportedScheme"}


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://u:p@h:1/a?sig=1#f", "https://h:1/a?…"),
        ("https://h/a", "https://h/a"),
        ("s3://key:secret@bucket/a", "s3://bucket/a"),
        ("/plain/path", "/plain/path"),
        ("https://u:p@[bad/a", "https://…"),
        ("https://u:p/w@h/a", "https://…"),
    ],
)
def test_a_shown_uri_holds_no_secret(uri, shown):
    assert redact(uri) == shown
