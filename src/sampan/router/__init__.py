"""An InferenceGraph as decisions: what to call next, with which body, and what to answer."""
