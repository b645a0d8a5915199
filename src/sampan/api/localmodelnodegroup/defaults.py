"""A LocalModelNodeGroup has no defaults beyond its schema's."""
