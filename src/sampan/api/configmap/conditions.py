"""ConfigMap has no conditions of its own."""
