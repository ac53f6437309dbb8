"""A real OpenStack control plane on loopback whose hypervisors are simulated."""
