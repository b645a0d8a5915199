"""Secret has no conditions of its own."""
