"""TrainedModel, `serving.kserve.io/v1alpha1`: one of several models in a running service."""
