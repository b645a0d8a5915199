"""Structural OpenAPI v3 schemas: derived when the project is built, loaded from data, walked.

`derive_all` makes `definitions.json` (`tools/generate_definitions.py`); `definitions` loads it;
`violations` and `fields` hold an object against a schema. Rules that span fields do not belong
here; they are a kind's `validation`.
"""
