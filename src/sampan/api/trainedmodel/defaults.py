"""A TrainedModel has no defaults."""
