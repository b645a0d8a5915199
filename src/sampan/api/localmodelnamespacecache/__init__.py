"""LocalModelNamespaceCache, `serving.kserve.io/v1alpha1`: a model on nodes, for a namespace."""
