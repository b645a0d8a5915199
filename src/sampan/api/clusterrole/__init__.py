"""ClusterRole, `rbac.authorization.k8s.io/v1`: what may be done, for any namespace or for all."""
