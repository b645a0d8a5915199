"""ConfigMap, core `v1`: settings as text, by key."""
