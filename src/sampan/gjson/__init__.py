"""The condition language of an InferenceGraph: gjson paths over JSON values.

`parse_path` turns a text into a value once, at admission; `find` follows it in a body.
"""
