"""A LocalModelNodeGroup has no conditions; `status.used` and `status.available` tell of it."""
