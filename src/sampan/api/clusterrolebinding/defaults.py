"""A ClusterRoleBinding gets the defaults of a RoleBinding: see `sampan.api.rolebinding`."""
