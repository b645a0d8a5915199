"""A ServiceAccount has no defaults."""
