"""LLMInferenceServiceConfig, both versions: parts that LLMInferenceServices are made from."""
