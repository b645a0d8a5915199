"""Workloads as processes of this machine.

`render` and `diff` are pure; `apply` and `observe` touch processes, environments and files.
"""
