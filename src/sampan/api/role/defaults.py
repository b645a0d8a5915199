"""A Role has no defaults."""
