"""RoleBinding has no conditions."""
