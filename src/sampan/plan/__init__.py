"""The decisions, pure: which runtime, which pod template, which routes, which status.

Each function maps values to values; `now` is an argument. Reading the world is the work of
`sampan.controllers`, changing it of `sampan.platforms`.
"""
