"""A ServingRuntime has no defaults beyond its schema's (`protocol: TCP` of a port, and so on)."""
