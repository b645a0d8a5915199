"""Engines load libraries that upset Python 3.11's parser (SystemError, "recursion depth mismatch")
where a large module is first imported after them, as pytest does with Hypothesis at the end."""

import hypothesis as hypothesis  # noqa: PLC0414  # imported for what is said above
