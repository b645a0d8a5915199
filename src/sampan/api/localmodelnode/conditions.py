"""A LocalModelNode has no conditions; `status.modelStatus` tells of it."""
