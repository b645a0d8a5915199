"""Composition roots: wiring only. A decision found here belongs in the package it decides about."""
