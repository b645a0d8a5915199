"""One file a framework: a Model and a RUNTIME value. Heavy imports happen inside `load()`.

The table below is the only place that lists them.
"""
