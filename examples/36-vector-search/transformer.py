"""Answers with the known images that are nearest to the one that was sent.

The predictor makes a vector of an image; the vector is looked up in an index (LanceDB, in files).
"""

from __future__ import annotations

import argparse
from typing import Any

import lancedb
from kserve import Model, ModelServer, model_server


class Nearest(Model):  # type: ignore[misc]
    """`predict` is inherited: it asks the predictor of `--predictor_host`."""

    def __init__(self, name: str, folder: str, count: int) -> None:
        super().__init__(name)
        self.count = count
        self.table = lancedb.connect(folder).open_table("digits")
        self.ready = True

    def postprocess(self, result: Any, headers: Any = None) -> Any:  # noqa: ARG002  # KServe's
        """Return number and digit of the nearest images, the nearest first."""
        return {"predictions": [self.search(vector) for vector in result["predictions"]]}

    def search(self, vector: list[float]) -> list[dict[str, int]]:
        """Return what is nearest to a vector."""
        found = self.table.search(vector).limit(self.count).to_list()
        return [{"number": row["number"], "digit": row["digit"]} for row in found]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[model_server.parser])
    parser.add_argument("--index", default="/mnt/models", help="the folder of the index")
    parser.add_argument("--count", type=int, default=3, help="how many are answered")
    args, _ = parser.parse_known_args()
    ModelServer().start([Nearest(args.model_name, args.index, args.count)])
