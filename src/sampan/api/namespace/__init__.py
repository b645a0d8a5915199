"""Namespace, core `v1`: a room for names."""
