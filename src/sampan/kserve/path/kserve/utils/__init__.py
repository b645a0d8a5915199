"""Payloads, datatypes and small answers."""
