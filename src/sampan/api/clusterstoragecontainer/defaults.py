"""A ClusterStorageContainer has no defaults beyond its schema's (`workloadType` and so on)."""
