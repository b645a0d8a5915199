"""What is put into a cluster so that Sampan serves there: objects, rights, packages. Pure.

One source for `sampan install`, the Kustomize base and the Helm chart.
"""
