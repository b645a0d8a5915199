"""A ServingRuntime has no conditions: nothing is reported of it."""
