"""ClusterStorageContainer, `serving.kserve.io/v1alpha1`: a container that fetches models."""
