"""A LocalModelNode has no defaults."""
