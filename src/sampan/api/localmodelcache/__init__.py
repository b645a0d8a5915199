"""LocalModelCache, `serving.kserve.io/v1alpha1`: a model kept on nodes, for every namespace."""
