"""An image in, a thousand scores out, by the least work: what a server does with a large tensor.

A model file for KServe's SDK; it runs on `kserve` and, by the alias, on ours.
"""

from __future__ import annotations

import uuid

from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer

SCORES = 1000


class Image(Model):
    """Answers with the first thousand values of the image, in the form that is asked for."""

    def load(self) -> bool:
        """Be ready."""
        self.ready = True
        return self.ready

    def predict(self, payload: InferRequest, headers=None) -> InferResponse:  # noqa: ARG002 (KServe's)
        """Answer."""
        scores = payload.inputs[0].as_numpy().reshape(1, -1)[:, :SCORES]
        output = InferOutput("scores", [1, SCORES], "FP32")
        output.set_data_from_numpy(scores, binary_data=payload.use_binary_outputs)
        return InferResponse(
            response_id=payload.id or str(uuid.uuid4()),
            model_name=self.name,
            infer_outputs=[output],
            use_binary_outputs=payload.use_binary_outputs,
            requested_outputs=payload.request_outputs,
        )


if __name__ == "__main__":
    model = Image("image")
    model.load()
    ModelServer().start([model])
