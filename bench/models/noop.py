"""Our server with a model that answers with its input: `python peer_noop.py PORT`."""

from __future__ import annotations

import sys

from sampan.app.serve import serve_models
from sampan.server.model import Model


class Noop(Model):
    """Answers `predictions` with `instances`; quick, as built-in models are."""

    quick = True

    def predict(self, payload, headers=None, response_headers=None):  # noqa: ARG002 (KServe's)
        """Answer."""
        return {"predictions": payload["instances"]}


if __name__ == "__main__":
    model = Noop("iris")
    model.load()
    sys.exit(serve_models({"iris": model}, [f"--http_port={sys.argv[1]}", "--grpc_port=0"]))
