"""The generated pages of `docs/reference`: one file a page, each with a pure `render() -> str`.

A page says what the code says, so nothing is written here that a table of the code already holds.
"""
