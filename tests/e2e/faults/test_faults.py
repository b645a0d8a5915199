"""Faults planted in services, and what is said of each: by `why`, the conditions and the events.

All are planted at once beside a healthy service, which must answer all the while.
"""

from __future__ import annotations

import json
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.slow

SETTLED_SECONDS = 40.0
HEALTHY = "healthy"


@dataclass(frozen=True)
class World:
    """Where faults are made: a folder, a web server, and a model that is right."""

    folder: Path
    web: str
    iris: Path

    def model(self, name: str, **files: bytes) -> str:
        """Return a folder with the files of a model (`model_joblib` is `model.joblib`)."""
        folder = self.folder / name
        folder.mkdir()
        for file, data in files.items():
            (folder / file.replace("_", ".")).write_bytes(data)
        return str(folder)

    @property
    def iris_bytes(self) -> bytes:
        return (self.iris / "model.joblib").read_bytes()


@dataclass(frozen=True)
class Fault:
    """A row. `plant` returns the predictor, or whole objects; the rest is what must be said.

    `says` and `mend` are parts of the message and of the mend, `line` of one of the last lines.
    """

    sentence: str
    plant: Callable[[World], Any]
    link: str
    reason: str
    says: tuple[str, ...]
    mend: str
    line: str = ""
    state: str = "failed"
    annotations: tuple[tuple[str, str], ...] = ()
    condition: str = "PredictorReady"

    @property
    def name(self) -> str:
        """The service's name: that of the row, as far as a name may be long."""
        words = "".join(c if c.isalnum() else "-" for c in self.sentence.lower())
        return "-".join(filter(None, words.split("-")))[:40].strip("-")


def sklearn(uri: str, **more: Any) -> dict[str, Any]:
    return {"model": {"modelFormat": {"name": "sklearn"}, "storageUri": uri, **more}}


def command(*argv: str, **more: Any) -> dict[str, Any]:
    return {
        "containers": [
            {"name": "kserve-container", "image": "example/any", "command": [*argv], **more}
        ]
    }


def python(program: str, **more: Any) -> dict[str, Any]:
    return command("python3", "-u", "-c", program, **more)


SERVES = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/fine" else 404)
        self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


class Shell:
    """Unpickled, it runs a command."""

    def __reduce__(self) -> Any:
        return (os.system, ("true",))


def pickled(module: str, name: str, state: dict[str, str] | None = None) -> bytes:
    """Return a pickle of an object of a class that need not exist."""
    text = f"c{module}\n{name}\n)\x81".encode()
    body = text + (pickle.dumps(state, 2)[2:-1] + b"b" if state else b"") + b"."
    return b"\x80\x02" + body


TRUST = (("serving.sampan.dev/trust", "true"),)

DOWNLOADS = [
    Fault(
        "a path that does not exist",
        lambda w: sklearn(f"{w.folder}/nowhere/model"),
        "download", "ModelNotFound", ("/nowhere/model", "does not exist"), "storageUri",
    ),
    Fault(
        "an empty folder",
        lambda w: sklearn(w.model("empty")),
        "download", "ModelNotFound", ("/empty", "is empty"), "storageUri",
    ),
    Fault(
        "a claim that holds no such path",
        lambda _: sklearn("pvc://models/iris"),
        "download", "ModelNotFound", ("pvc://models/iris", "volumes/models"), "storageUri",
    ),
    Fault(
        "a URL that is not there",
        lambda w: sklearn(f"{w.web}/404/model.joblib"),
        "download", "ModelNotFound", ("/404/model.joblib", "status 404"), "storageUri",
    ),
    Fault(
        "a URL that is forbidden",
        lambda w: sklearn(f"{w.web}/403/model.joblib"),
        "download", "AccessDenied", ("/403/model.joblib", "status 403"), "permission",
    ),
    Fault(
        "a URL that wants a login",
        lambda w: sklearn(f"{w.web}/401/model.joblib"),
        "download", "AuthenticationFailed", ("/401/model.joblib", "status 401"), "password",
    ),
    Fault(
        "a server that is broken",
        lambda w: sklearn(f"{w.web}/500/model.joblib"),
        "download", "SourceUnavailable", ("/500/model.joblib", "code 500"), "tried again",
    ),
    Fault(
        "a page in place of a file",
        lambda w: sklearn(f"{w.web}/login/model.joblib"),
        "download", "UnexpectedContent", ("/login/model.joblib", "text/html"), "browser",
    ),
    Fault(
        "a URL that stalls",
        lambda w: sklearn(f"{w.web}/stall/model.joblib"),
        "download", "DownloadStalled", ("/stall/model.joblib", "1000 bytes"), "stallSeconds",
    ),
    Fault(
        "a download that is cut off",
        lambda w: sklearn(f"{w.web}/truncate/model.joblib"),
        "download", "DownloadTruncated", ("/truncate/model.joblib", "1000 "), "tried again",
    ),
    Fault(
        "a server that does not listen",
        lambda _: sklearn("http://127.0.0.1:9/model.joblib"),
        "download", "ConnectionFailed", ("127.0.0.1", ":9/model.joblib"), "network",
    ),
    Fault(
        "an archive bomb",
        lambda w: sklearn(f"{w.web}/bomb/model.zip"),
        "download", "ArchiveTooLarge", ("100 times its size",), "maxArchiveRatio",
    ),
    Fault(
        "an archive that leads out of its folder",
        lambda w: sklearn(f"{w.web}/traversal/model.tar.gz"),
        "download", "ArchiveUnsafe", ("../../outside.joblib",), "make the archive anew",
    ),
    Fault(
        "an archive with a link to a file of this machine",
        lambda w: sklearn(f"{w.web}/link/model.tar"),
        "download", "ArchiveUnsafe", ("/etc/passwd",), "make the archive anew",
    ),
    Fault(
        "no archive behind the name of one",
        lambda w: sklearn(f"{w.web}/plain/model.zip"),
        "download", "ArchiveInvalid", ("model.zip",), "name it after what it is",
    ),
    Fault(
        "a wrong checksum",
        lambda w: sklearn(f"{w.web}/plain/model.joblib#sha256={'0' * 64}"),
        "download", "ChecksumMismatch", ("/plain/model.joblib", "0" * 64), "sha256",
    ),
    Fault(
        "a redirect to the metadata of a cloud",
        lambda w: sklearn(f"{w.web}/metadata/model.joblib"),
        "download", "SourceRefused", ("169.254.169.254", "metadata"), "storageUri",
    ),
    Fault(
        "a redirect in a circle",
        lambda w: sklearn(f"{w.web}/round/model.joblib"),
        "download", "SourceRefused", ("/round/model.joblib", "10 times"), "storageUri",
    ),
    Fault(
        "a private address",
        lambda _: sklearn("http://10.1.2.3/model.joblib"),
        "download", "SourceRefused", ("10.1.2.3", "private"), "allowPrivateSources",
    ),
    Fault(
        "a scheme that is not supported",
        lambda _: sklearn("hdfs://namenode/iris"),
        "download", "UnsupportedScheme", ("hdfs://namenode/iris", "https://"), "give its path",
    ),
]  # fmt: skip

MODELS = [
    Fault(
        "a text under the name of a model",
        lambda w: sklearn(w.model("text", model_joblib=b"hello, I am no model\n")),
        "load", "ModelCorrupt", ("model.joblib",), "save the model again", "ModelCorrupt",
    ),
    Fault(
        "half a model",
        lambda w: sklearn(w.model("half", model_joblib=w.iris_bytes[: len(w.iris_bytes) // 2])),
        "load", "ModelCorrupt", ("model.joblib",), "save the model again", "ModelCorrupt",
    ),
    Fault(
        "two models where one is served",
        lambda w: sklearn(w.model("two", a_joblib=w.iris_bytes, b_pkl=w.iris_bytes)),
        "load", "ModelAmbiguous", ("a.joblib", "b.pkl"), "keep one model file", "ModelAmbiguous",
    ),
    Fault(
        "a model of another format",
        lambda w: sklearn(w.model("other", model_onnx=b"\x08\x07")),
        "load", "ModelMissing", ("model.onnx", ".joblib"), "storageUri", "ModelMissing",
    ),
    Fault(
        "a pickle that runs a command",
        lambda w: sklearn(w.model("shell", model_pkl=pickle.dumps(Shell()))),
        "load", "ModelUntrusted", ("posix.system",), "serving.sampan.dev/trust", "posix.system",
    ),
    Fault(
        "a pickle of a module that is not there",
        lambda w: sklearn(w.model("module", model_pkl=pickled("my_lab.nets", "Net"))),
        "load", "ModelIncompatible", ("my_lab",), "runtimeVersion", "my_lab",
        annotations=TRUST,
    ),
    Fault(
        "a model of an old scikit-learn",
        lambda w: sklearn(
            w.model("old", model_pkl=pickled("sklearn.svm", "Gone", {"_sklearn_version": "0.20.3"}))
        ),
        "load", "ModelIncompatible", ("0.20.3",), "runtimeVersion", "0.20.3",
        annotations=TRUST,
    ),
    Fault(
        "an object that cannot predict",
        lambda w: sklearn(w.model("object", model_pkl=pickle.dumps({"weights": [1.0]}))),
        "load", "ModelIncompatible", ("dict",), "runtimeVersion", "dict",
    ),
    Fault(
        "more memory than the limit allows",
        lambda w: sklearn(str(w.iris), resources={"limits": {"memory": "24Mi"}}),
        "load", "OOMKilled", ("24 MiB",), "resources.limits.memory",
    ),
]  # fmt: skip

RUNTIMES = [
    Fault(
        "a runtime that nobody knows",
        lambda w: sklearn(str(w.iris), runtime="kserve-sklernserver"),
        "decision", "RuntimeNotRecognized",
        ("kserve-sklernserver", 'did you mean "kserve-sklearnserver"'), "apply the runtime",
    ),
    Fault(
        "a runtime that is disabled",
        lambda w: sklearn(str(w.iris), runtime="disabled"),
        "decision", "RuntimeDisabled", ('"disabled"',), "enable the runtime",
    ),
    Fault(
        "a format that no runtime has",
        lambda w: {"model": {"modelFormat": {"name": "sklern"}, "storageUri": str(w.iris)}},
        "decision", "NoSupportingRuntime", ("sklern", 'did you mean "sklearn"'), "modelFormat",
    ),
    Fault(
        "a protocol that the runtime does not speak",
        lambda w: sklearn(str(w.iris), protocolVersion="grpc-v2"),
        "decision", "NoSupportingRuntime", ("grpc-v2",), "protocolVersion",
    ),
    Fault(
        "a placeholder that cannot be filled",
        lambda w: sklearn(str(w.iris), runtime="placeholder"),
        "decision", "InvalidPredictorSpec", ("{{.Nonsense}}",), "field that the message names",
    ),
    Fault(
        "a transformer whose image does not run here",
        lambda w: {
            **sklearn(str(w.iris)),
            "transformer": {"containers": [{"name": "t", "image": "t/t"}]},
        },
        "environment", "ImageNotRunnable", ('"t/t"', "images.yaml"), "images.yaml",
        condition="TransformerReady",
    ),
    Fault(
        "a version that the runtime cannot be had in",
        lambda w: sklearn(str(w.iris), runtimeVersion="0.10.1"),
        "environment", "RuntimeVersionNotSupported", ("0.10.1", "scikit-learn"), "runtimeVersion",
    ),
    Fault(
        "an image that does not run here",
        lambda _: {"containers": [{"name": "kserve-container", "image": "example/other:1"}]},
        "environment", "ImageNotRunnable", ("example/other:1",), "command",
    ),
    Fault(
        "a command that is not on the PATH",
        lambda _: command("serve-my-model", "--fast"),
        "environment", "CommandNotFound", ("serve-my-model",), "absolute path",
    ),
    Fault(
        "an environment that cannot be installed",
        lambda _: {"containers": [{"name": "kserve-container", "image": "example/broken:1"}]},
        "environment", "EnvironmentFailed", ("missing-1.0-py3-none-any.whl",), "sampan doctor",
    ),
]  # fmt: skip

REPLICAS = [
    Fault(
        "a ConfigMap that is missing",
        lambda _: python(SERVES, envFrom=[{"configMapRef": {"name": "no-such-map"}}]),
        "process", "CreateContainerConfigError", ("no-such-map",), "apply",
    ),
    Fault(
        "a Secret that is missing",
        lambda _: python(SERVES, envFrom=[{"secretRef": {"name": "no-such-secret"}}]),
        "process", "CreateContainerConfigError", ("no-such-secret",), "apply",
    ),
    Fault(
        "a key that its ConfigMap has not",
        lambda _: python(
            SERVES,
            env=[
                {
                    "name": "A",
                    "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}},
                }
            ],
        ),
        "process", "CreateContainerConfigError", ("settings", "colour"), "apply",
    ),
    Fault(
        "a readiness probe that never passes",
        lambda _: python(SERVES, readinessProbe={"httpGet": {"path": "/no", "port": 8080},
                                                 "periodSeconds": 1},
                         ports=[{"containerPort": 8080}]),
        "load", "NotReady", ("/no", "HTTP 404"), "readinessProbe", state="running",
    ),
    Fault(
        "a liveness probe that fails",
        lambda _: python(SERVES, livenessProbe={"httpGet": {"path": "/no", "port": 8080},
                                                "initialDelaySeconds": 2, "failureThreshold": 1},
                         ports=[{"containerPort": 8080}]),
        "load", "Unhealthy", ("liveness", "/no", "HTTP 404"), "livenessProbe",
    ),
    Fault(
        "a probe of a port that is not declared",
        lambda _: python(SERVES, readinessProbe={"tcpSocket": {"port": "web"}}),
        "process", "StartError", ("web",), "probe",
    ),
    Fault(
        "a process that ends with success",
        lambda _: python("print('all done')"),
        "load", "CrashLoopBackOff", ('exit code "0"', "a server must go on", "all done"),
        "last lines", "all done",
    ),
    Fault(
        "a process that raises",
        lambda _: python("import json\njson.loads('{')"),
        "load", "CrashLoopBackOff", ('exit code "1"', "JSONDecodeError"), "last lines",
        "Traceback (most recent call last)",
    ),
    Fault(
        "a process that dies of a signal",
        lambda _: python("import os, signal; print('bye'); os.kill(os.getpid(), signal.SIGSEGV)"),
        "load", "CrashLoopBackOff", ("SIGSEGV", "bye"), "last lines", "bye",
    ),
    Fault(
        "a process that leaves its own last words",
        lambda _: python(
            "import os; open(os.environ['SAMPAN_TERMINATION_LOG'], 'w').write('no licence found');"
            "raise SystemExit(7)"
        ),
        "load", "CrashLoopBackOff", ('exit code "7"', "no licence found"), "last lines",
    ),
    Fault(
        "a service that is stopped",
        lambda w: sklearn(str(w.iris)),
        "stopped", "Stopped", ("serving.kserve.io/stop",), "remove the annotation", state="done",
        annotations=(("serving.kserve.io/stop", "true"),),
    ),
]  # fmt: skip

FAULTS = [*DOWNLOADS, *MODELS, *RUNTIMES, *REPLICAS]


def make_service(fault: Fault, world: World) -> dict[str, Any]:
    predictor = fault.plant(world)
    beside = {k: predictor.pop(k) for k in ("transformer",) if k in predictor}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": fault.name, "annotations": dict(fault.annotations)},
        "spec": {"predictor": predictor, **beside},
    }


def make_runtime(name: str, **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ClusterServingRuntime",
        "metadata": {"name": name},
        "spec": {
            "supportedModelFormats": [{"name": "sklearn", "version": "1"}],
            "protocolVersions": ["v1"],
            "containers": [
                {"name": "kserve-container", "image": "kserve/sklearnserver", "args": ["a"]} | more
            ],
            "disabled": name == "disabled",
        },
    }


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One try, soon given up, of sources on this machine; an image with a broken requirement."""
    config = tmp_path_factory.mktemp("config")
    (config / "sampan").mkdir()
    broken = {
        "image": "example/broken",
        "argv": ["{python}", "-m", "http.server"],
        "requirements": [f"missing @ file://{config}/missing-1.0-py3-none-any.whl"],
    }
    (config / "sampan/images.yaml").write_text(yaml.safe_dump({"images": [broken]}))
    return {
        "XDG_CONFIG_HOME": str(config),
        "SAMPAN_ALLOW_PRIVATE_SOURCES": "127.0.0.1",
        "SAMPAN_STALL_SECONDS": "1",
        "SAMPAN_DOWNLOAD_ATTEMPTS": "1",
        "SAMPAN_MAX_ARCHIVE_RATIO": "100",
    }


class Visitor(threading.Thread):
    """Asks the healthy service ten times a second and keeps what was not an answer."""

    def __init__(self, sampan: Any) -> None:
        super().__init__(daemon=True)
        self.sampan = sampan
        self.over = threading.Event()
        self.answers = 0
        self.failures: list[Any] = []

    def run(self) -> None:
        while not self.over.wait(0.1):
            try:
                status, body = self.sampan.predict(HEALTHY, {"instances": [[6.8, 2.8, 4.8, 1.4]]})
            except OSError as error:
                self.failures.append(error)
                continue
            if (status, body) == (200, {"predictions": [1]}):
                self.answers += 1
            else:
                self.failures.append((status, body))


@pytest.fixture(scope="module")
def planted(
    sampan: Any, web: str, iris: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """Every fault, in a Sampan whose healthy service is visited until the last row is through."""
    world = World(tmp_path_factory.mktemp("models"), web, iris)
    healthy = sklearn(str(iris))
    objects = [
        make_runtime("disabled"),
        make_runtime("placeholder", args=["--model_name={{.Nonsense}}"]),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {}},
        make_service(Fault(HEALTHY, lambda _: healthy, "", "", (), ""), world),
    ]
    sampan.apply(yaml.safe_dump_all(objects))
    sampan.wait_ready(HEALTHY)
    daemon = sampan.daemon["pid"]
    visitor = Visitor(sampan)
    visitor.start()
    sampan.apply(yaml.safe_dump_all([make_service(fault, world) for fault in FAULTS]))
    yield sampan
    visitor.over.set()
    visitor.join()
    assert visitor.failures == []
    assert visitor.answers > 20
    assert sampan.daemon["pid"] == daemon
    assert sampan.why(HEALTHY)["ready"]


def settled(sampan: Any, fault: Fault) -> Any:
    """Ask until the fault is told by `why`, the condition and, of a failure, an event alike.

    `why` is the present, the status what was written a moment ago. Fails with the last answers.
    """
    told: Any = {}
    service: Any = {}
    limit = time.monotonic() + SETTLED_SECONDS
    path = f"/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices/{fault.name}"
    while time.monotonic() < limit:
        told, service = sampan.api(f"{path}/why"), sampan.api(path)
        found = (told["link"], told["reason"], told["state"])
        condition = conditions_of(service).get(fault.condition, {})
        if found == (fault.link, fault.reason, fault.state) and (
            fault.state != "failed" or is_told_alike(sampan, fault, told, condition)
        ):
            return told, service
        time.sleep(0.1)
    raise AssertionError(json.dumps([told, conditions_of(service)], indent=2))


def is_told_alike(sampan: Any, fault: Fault, told: Any, condition: Any) -> bool:
    words = (told["reason"], told["message"])
    return (
        condition.get("reason") == words[0]
        and condition.get("message", "").endswith(words[1])
        and words in warnings_of(sampan, fault.name)
    )


def conditions_of(service: Any) -> dict[str, Any]:
    return {c["type"]: c for c in service.get("status", {}).get("conditions", ())}


@pytest.mark.parametrize("fault", [pytest.param(f, id=f.sentence) for f in FAULTS])
def test_a_fault_is_told_where_it_is(planted: Any, fault: Fault) -> None:
    told, service = settled(planted, fault)
    for part in fault.says:
        assert part in told["message"]
    assert fault.mend in told["mend"]
    assert any(fault.line in line for line in told["lastLines"]) or not fault.line
    assert not told["ready"]
    condition = conditions_of(service)[fault.condition]
    if fault.state == "failed":
        assert condition["status"] in {"False", "Unknown"}
        assert conditions_of(service)["Ready"]["message"] == condition["message"]
    else:
        assert condition["status"] == "False"
        assert fault.reason in condition["reason"] + condition.get("message", "")


def warnings_of(sampan: Any, name: str) -> set[tuple[str, str]]:
    found = sampan.api(
        f"/api/v1/namespaces/default/events?fieldSelector=involvedObject.name={name}"
    )
    return {(e["reason"], e["message"]) for e in found["items"] if e["type"] == "Warning"}


@pytest.mark.parametrize("fault", [DOWNLOADS[0], MODELS[0], RUNTIMES[0], REPLICAS[7]])
def test_the_command_shows_it_and_exits_with_1(planted: Any, fault: Fault) -> None:
    told, _ = settled(planted, fault)
    until = time.monotonic() + 60
    while True:  # while a replica is tried once more, the link is under way for a moment
        shown = planted.run("why", fault.name)
        if f"✗ {fault.link}" in shown.stdout or time.monotonic() > until:
            break
    assert shown.returncode == 1
    assert shown.stderr == ""
    for part in (f"{fault.name} is not Ready", told["mend"], f"✗ {fault.link}", *fault.says):
        assert part in shown.stdout
    if fault.line:
        assert fault.line in shown.stdout


def test_there_are_thirty_faults_and_each_has_a_name_of_its_own() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 30
