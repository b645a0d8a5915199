"""An LLMInferenceServiceConfig has no defaults besides its schema's: it is part of an object."""
