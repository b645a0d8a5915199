"""A LocalModelNamespaceCache has no defaults."""
