"""A stand-in for a Kubernetes API server: one thread of the tour, HTTP on loopback, in memory.

It serves what kubectl and the operator ask for in the tour: custom resources with the columns and
defaults of their CRDs, namespaces, Secrets, Events, watches, finalizers, status as a subresource.
It does not validate, knows no users and no rights, and runs no controllers: `make test` uses a real
API server (tests/beds/kube) for everything that the documentation promises.
"""
