"""InferenceService, `serving.kserve.io/v1beta1`: a model behind an address."""
