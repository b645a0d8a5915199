"""RoleBinding, `rbac.authorization.k8s.io/v1`: who has a role in one namespace."""
