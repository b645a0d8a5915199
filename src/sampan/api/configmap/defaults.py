"""A ConfigMap has no defaults."""
