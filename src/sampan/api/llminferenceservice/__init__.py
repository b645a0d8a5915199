"""LLMInferenceService, `serving.kserve.io/v1alpha2` and `v1alpha1`: a language model, served."""
