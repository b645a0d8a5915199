"""Where workloads run. Each platform is render (pure), diff (pure), apply (thin) and observe.

Platforms do not know each other and make no decisions that a plan should make.
"""
