"""ClusterRoleBinding has no conditions."""
