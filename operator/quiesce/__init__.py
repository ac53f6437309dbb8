"""Quiesce: a Kubernetes operator that empties OpenStack compute nodes and keeps them drained."""

__version__ = "0.2.0"
