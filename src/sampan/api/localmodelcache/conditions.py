"""A LocalModelCache has no conditions; `status.nodeStatus` and `status.copies` tell of it."""
