"""ClusterRole has no conditions."""
