"""A transformer that changes next to nothing: what is measured is the way to its predictor."""

import argparse

from kserve import Model, ModelServer, model_server


class Plain(Model):
    """Passes rows on, and says so in the answer."""

    def preprocess(self, payload, headers=None):  # noqa: ARG002  # KServe's
        """Return the rows as the predictor takes them."""
        return {"instances": payload["instances"]}

    def postprocess(self, result, headers=None):  # noqa: ARG002  # KServe's
        """Return the predictor's answer."""
        return {"predictions": result["predictions"]}


parser = argparse.ArgumentParser(parents=[model_server.parser])
args, _ = parser.parse_known_args()

if __name__ == "__main__":
    model = Plain(args.model_name)
    model.ready = True
    ModelServer().start([model])
