"""Event has no conditions of its own."""
