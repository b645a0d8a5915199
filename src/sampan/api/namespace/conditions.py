"""Namespace has no conditions of its own."""
