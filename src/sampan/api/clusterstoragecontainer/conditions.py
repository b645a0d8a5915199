"""A ClusterStorageContainer has no conditions: nothing is reported of it."""
