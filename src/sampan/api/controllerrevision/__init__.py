"""ControllerRevision, `apps/v1`: what a component of a service was, kept to go back to it."""
