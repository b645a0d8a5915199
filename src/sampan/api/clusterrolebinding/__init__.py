"""ClusterRoleBinding, `rbac.authorization.k8s.io/v1`: who has a ClusterRole everywhere."""
