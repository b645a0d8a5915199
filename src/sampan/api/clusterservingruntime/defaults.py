"""A ClusterServingRuntime has no defaults beyond its schema's."""
