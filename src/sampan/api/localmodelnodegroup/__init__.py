"""LocalModelNodeGroup, `serving.kserve.io/v1alpha1`: nodes that keep models, and their storage."""
