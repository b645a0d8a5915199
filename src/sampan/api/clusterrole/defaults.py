"""A ClusterRole has no defaults."""
