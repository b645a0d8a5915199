"""A ClusterServingRuntime has no conditions: nothing is reported of it."""
