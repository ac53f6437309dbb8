"""Random input: how quickly a busy machine makes it says nothing about the operator."""

from hypothesis import HealthCheck, settings

settings.register_profile("unit", deadline=None, suppress_health_check=(HealthCheck.too_slow,))
settings.load_profile("unit")
