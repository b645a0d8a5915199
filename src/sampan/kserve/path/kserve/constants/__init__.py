"""Fixed values of the interface."""
