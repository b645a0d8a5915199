"""Role has no conditions."""
