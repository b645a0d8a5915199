"""Models in Azure's blobs, from a server that checks keys, signatures and tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.storage.azure_server import KEY, SAS, Azure
from tests.storage.conftest import files_of

from sampan.storage.azure import is_azure

HOST = "https://models1.blob.core.windows.net"
BODY = bytes(range(256)) * 4096


@pytest.fixture
async def azure(bench) -> AsyncIterator[Azure]:
    served = Azure({"iris/model.joblib": b"weights", "iris/sub/labels.txt": b"one two"})
    await served.start()
    bench.set(environment=served.environment)
    yield served
    served.stop()


async def test_a_folder_comes_with_an_account_key(azure, bench):
    azure.objects |= {"iris/empty": b"", "iris2/no": b"no"}
    first = await bench.fetch(f"{HOST}/models/iris")
    assert files_of(first.path) == {"model.joblib": b"weights", "sub/labels.txt": b"one two"}
    assert (await bench.fetch(f"{HOST}/models/iris/model.joblib")).size == 7
    assert (await bench.fetch(f"{HOST}/models/iris")).cached


async def test_names_of_all_letters_come_page_by_page(azure, bench):
    azure.page = 2
    odd = {f"a b/{n}+%20&=?#ä\x01": b"%d" % n for n in range(5)}
    azure.objects = {f"iris/{name}": body for name, body in odd.items()}
    assert files_of((await bench.fetch(f"{HOST}/models/iris")).path) == odd


async def test_a_download_that_is_cut_goes_on_where_it_stopped(azure, bench):
    azure.objects = {"big": BODY}
    azure.acts = [600_000]
    assert files_of((await bench.fetch(f"{HOST}/models/big")).path) == {"big": BODY}
    assert azure.seen[-1].headers["range"] == "bytes=600000-"


async def test_a_signature_in_the_uri_is_enough_and_is_never_shown(azure, bench):
    bench.set(environment={"AZURE_SERVICE_URL": azure.environment["AZURE_SERVICE_URL"]})
    assert (await bench.fetch(f"{HOST}/models/iris?{SAS}")).size == 14
    error = await bench.refused(f"{HOST}/models/iris?sv=1&sig=s3cret")
    assert error.reason == "AuthenticationFailed"
    assert "s3cret" not in error.message


@pytest.mark.parametrize("prefix", ["AZURE", "AZ"], ids=["new names", "old names"])
async def test_a_service_principal_gets_a_token(azure, bench, prefix):
    url = azure.environment["AZURE_SERVICE_URL"]
    names = {"CLIENT_ID": "app", "TENANT_ID": "dir", "CLIENT_SECRET": "right"}
    variables = {f"{prefix}_{name}": value for name, value in names.items()}
    bench.set(environment={**variables, "AZURE_SERVICE_URL": url, "AZURE_AUTHORITY_HOST": url})
    assert (await bench.fetch(f"{HOST}/models/iris")).size == 14
    assert azure.tokens == 1
    wrong = {**bench.options.environment, f"{prefix}_CLIENT_SECRET": "wrong"}
    bench.set(environment=wrong)
    error = await bench.refused(f"{HOST}/models/iris")
    assert error.reason == "AuthenticationFailed"
    assert "invalid_client" in error.message


async def test_public_containers_need_no_credentials(azure, bench):
    azure.public = True
    bench.set(environment={"AZURE_SERVICE_URL": azure.environment["AZURE_SERVICE_URL"]})
    assert (await bench.fetch(f"{HOST}/models/iris")).size == 14
    assert all("authorization" not in asked.headers for asked in azure.seen)


@pytest.mark.parametrize(
    ("uri", "variables", "reason", "words"),
    [
        pytest.param(f"{HOST}/none/x", {}, "ModelNotFound", '"none"', id="no such container"),
        pytest.param(f"{HOST}/models/none", {}, "ModelNotFound", "no file", id="no such path"),
        pytest.param(f"{HOST}/NO/x", {}, "InvalidURI", '"NO"', id="no possible container"),
        pytest.param(f"{HOST}/models/../x", {}, "InvalidURI", '".."', id="a path that goes back"),
        pytest.param(
            f"{HOST}/models/iris",
            {"AZURE_STORAGE_ACCESS_KEY": "%%%"},
            "InvalidStorageSettings",
            "base64",
            id="a key that is none",
        ),
        pytest.param(
            f"{HOST}/models/iris",
            {"AZURE_STORAGE_ACCESS_KEY": "d3Jvbmc="},
            "AuthenticationFailed",
            "AuthenticationFailed it is)",
            id="a wrong key",
        ),
        pytest.param(
            f"{HOST}/models/iris",
            {"AZURE_CLIENT_ID": "app"},
            "InvalidStorageSettings",
            "AZURE_CLIENT_SECRET",
            id="a client without its secret",
        ),
        pytest.param(
            "https://models1.file.core.windows.net/share/x",
            {},
            "UnsupportedScheme",
            "file share",
            id="a file share",
        ),
        pytest.param(
            "abfs://models@models1.dfs.core.windows.net/iris",
            {},
            "UnsupportedScheme",
            "https://ACCOUNT.blob.core.windows.net",
            id="the scheme of Hadoop",
        ),
    ],
)
async def test_errors_name_the_value_and_no_secret(azure, bench, uri, variables, reason, words):
    bench.set(environment={**azure.environment, **variables}, attempts=1)
    error = await bench.refused(uri)
    assert error.reason == reason
    assert words in error.message
    assert KEY not in error.message


@pytest.mark.parametrize(
    ("uri", "blobs"),
    [
        (f"{HOST}/models/x", True),
        ("https://a1.z7.blob.storage.azure.net/models/x", True),
        ("https://models1.file.core.windows.net/share/x", True),
        ("https://models1.file.core.windows.net/share/x?sig=1", False),
        ("http://models1.blob.core.windows.net/models/x", False),
        ("https://blob.core.windows.net.evil.example/models/x", False),
        ("https://example.com/models1.blob.core.windows.net/x", False),
    ],
)
def test_hosts_tell_what_is_azure(uri, blobs):
    assert is_azure(uri) is blobs
