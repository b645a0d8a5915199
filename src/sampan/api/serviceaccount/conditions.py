"""ServiceAccount has no conditions of its own."""
