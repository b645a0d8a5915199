"""An Event has no defaults."""
