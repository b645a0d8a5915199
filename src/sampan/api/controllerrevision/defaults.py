"""A ControllerRevision has no defaults."""
