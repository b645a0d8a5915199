"""A LocalModelCache has no defaults."""
