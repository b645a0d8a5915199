"""Programs that make what is generated; run by hand, checked by tests."""
