"""InferenceGraph, `serving.kserve.io/v1alpha1`: several services behind one address."""
