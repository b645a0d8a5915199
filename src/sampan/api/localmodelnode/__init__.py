"""LocalModelNode, `serving.kserve.io/v1alpha1`: the models that one node keeps."""
