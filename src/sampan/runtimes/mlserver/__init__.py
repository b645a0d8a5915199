"""MLServer's projects: `settings.json`, `model-settings.json`, its environment, its classes.

What belongs here: reading a project and serving it. Built-in implementations (`mlserver_sklearn`
and its like) are Sampan's own engines; a project's own classes run in the package `mlserver`.
"""
