"""A LocalModelNamespaceCache has no conditions; `status.nodeStatus` tells of it."""
