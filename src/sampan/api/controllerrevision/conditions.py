"""ControllerRevision has no conditions of its own."""
