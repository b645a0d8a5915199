"""An ASGI application and middleware of one's own, from the command line and from a model file."""

from __future__ import annotations

import pytest

MODEL = """
from sampan.sdk import Model


class Echo(Model):
    def predict(self, payload, headers=None):
        return {"predictions": payload["instances"], "by": headers.get("x-user", "nobody")}
"""
APP = """
import contextlib
import json


def answer(value, status=200):
    body = json.dumps(value).encode()
    start = {"type": "http.response.start", "status": status,
             "headers": [(b"content-type", b"application/json")]}
    return start, {"type": "http.response.body", "body": body}


started = []


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                started.append(True)
                await send({"type": "lifespan.startup.complete"})
            else:
                print("goodbye from the app", flush=True)
                await send({"type": "lifespan.shutdown.complete"})
                return
    if scope["path"] == "/broken":
        raise KeyError("mine")
    headers = dict(scope["headers"])
    told = {"path": scope["path"], "id": headers[b"x-request-id"].decode(), "up": bool(started)}
    for message in answer(told):
        await send(message)


def guarded(inner):
    async def middleware(scope, receive, send):
        headers = dict(scope.get("headers", ()))
        if scope["type"] == "http" and headers.get(b"authorization") != b"Bearer s3":
            for message in answer({"error": "who are you?"}, 401):
                await send(message)
            return
        if scope["type"] == "http":
            scope["headers"] = [*scope["headers"], (b"x-user", b"friend")]
        await inner(scope, receive, send)

    return middleware


number = 7


def refuses(scope, receive, send):
    raise AssertionError


async def fails(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
"""
ROWS = {"instances": [[1]]}
PREDICT = "/v1/models/echo:predict"


@pytest.fixture
def files(tmp_path):
    (tmp_path / "echo.py").write_text(MODEL)
    (tmp_path / "mine.py").write_text(APP)
    return tmp_path


@pytest.mark.usefixtures("files")
def test_an_app_answers_what_the_server_has_no_route_for_and_nothing_else(serve):
    served = serve("echo.py:Echo", "--app", "mine.py:app")
    status, told, headers = served.ask("/mine/1", headers={"x-request-id": "r1"})
    assert (status, told) == (200, {"path": "/mine/1", "id": "r1", "up": True})
    assert headers["x-request-id"] == "r1"
    assert served.ask(PREDICT, ROWS)[1] == {"predictions": [[1]], "by": "nobody"}
    assert served.ask("/v2/models/none")[0] == 404
    assert served.ask("/v1/models", {})[0] == 405
    assert served.ask("/broken")[:2] == (500, {"error": "KeyError : 'mine'"})


@pytest.mark.usefixtures("files")
def test_a_middleware_sees_every_request_before_the_server(serve):
    served = serve("echo.py:Echo", "--middleware", "mine.py:guarded", "--app", "mine.py:app")
    assert served.ask(PREDICT, ROWS)[:2] == (401, {"error": "who are you?"})
    assert served.ask("/mine")[0] == 401
    friend = {"authorization": "Bearer s3"}
    assert served.ask(PREDICT, ROWS, friend)[1] == {"predictions": [[1]], "by": "friend"}
    assert served.ask("/mine", headers=friend)[1]["path"] == "/mine"


@pytest.mark.usefixtures("files")
def test_workers_each_have_the_app(serve):
    served = serve("echo.py:Echo", "--app", "mine.py:app", "--workers", "2")
    assert {served.ask("/mine")[1]["up"] for _ in range(8)} == {True}


@pytest.mark.parametrize(
    ("place", "code", "said"),
    [
        ("mine.py:ap", 1, r'there is no "ap" in "mine\.py"; did you mean "app"\?'),
        ("mine.py:number", 1, r'"number" in "mine\.py" cannot be called; give the ASGI app'),
        ("absent.py:app", 1, r'absent\.py" cannot be read'),
        ("mine", 2, r'"mine" names nothing in a file; write FILE\.py:NAME'),
        ("mine.py:fails", 1, r"the ASGI application does not start: no database"),
    ],
    ids=["misspelt", "no function", "no file", "no place", "start fails"],
)
@pytest.mark.usefixtures("files")
def test_an_app_that_cannot_be_served_ends_the_server_and_is_named(serve, place, code, said):
    served = serve("echo.py:Echo", "--app", place)
    served.said(said)
    assert served.process.wait(20) == code


def test_a_file_of_models_gives_its_app_to_the_server(serve, tmp_path):
    (tmp_path / "both.py").write_text(
        MODEL + APP + "\nif __name__ == '__main__':\n"
        "    from sampan.sdk import ModelServer\n"
        "    model = Echo('echo')\n    model.load()\n"
        "    ModelServer(app=app, middleware=[guarded]).start([model])\n"
    )
    served = serve("both.py")
    friend = {"authorization": "Bearer s3"}
    assert served.ask("/mine", headers=friend)[1]["path"] == "/mine"
    assert served.ask(PREDICT, ROWS, friend)[1]["by"] == "friend"
    assert served.ask(PREDICT, ROWS)[0] == 401


def test_kserves_own_application_takes_routes_and_middleware(serve, tmp_path):
    (tmp_path / "m.py").write_text(
        "from kserve import Model, ModelServer\n"
        "from kserve.model_server import app\n"
        + MODEL.split("\n", 3)[3]
        + """

@app.get("/hello/{name}")
async def hello(name: str) -> dict[str, str]:
    return {"hello": name}


@app.middleware("http")
async def stamp(request, call_next):
    response = await call_next(request)
    response.headers["x-stamped"] = request.url.path
    return response


if __name__ == "__main__":
    model = Echo("echo")
    model.load()
    ModelServer().start([model])
"""
    )
    served = serve("m.py")
    assert served.ask("/hello/you")[:2] == (200, {"hello": "you"})
    status, body, headers = served.ask(PREDICT, ROWS)
    assert (status, body["predictions"]) == (200, [[1]])
    assert headers["x-stamped"] == PREDICT
    assert served.ask("/v2/health/ready")[2]["x-stamped"] == "/v2/health/ready"
    assert served.end() == 0
