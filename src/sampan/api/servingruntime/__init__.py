"""ServingRuntime, `serving.kserve.io/v1alpha1`: how models of some formats are served."""
