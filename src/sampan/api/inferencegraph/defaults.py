"""An InferenceGraph has no defaults beyond its schema's."""
