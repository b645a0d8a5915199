"""Role, `rbac.authorization.k8s.io/v1`: what may be done in one namespace."""
