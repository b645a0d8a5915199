"""Event, core `v1`: something that happened to an object."""
