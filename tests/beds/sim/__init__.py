"""A stand-in for an OpenStack cloud: Keystone, Nova, Placement and Neutron in one process."""
