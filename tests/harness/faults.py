"""The ways in which any call to a cloud can fail, by name, on the stand-in and on the real one."""

from tests.beds.sim.web import HttpFault

EVERYWHERE = {
    "reset before it takes effect": HttpFault("reset"),
    "reset after it took effect": HttpFault("reset", after=True),
    "401": HttpFault("status", status=401),
    "403": HttpFault("status", status=403),
    "409": HttpFault("status", status=409),
    "429": HttpFault("status", status=429, headers=(("Retry-After", "7"),)),
    "500 before it takes effect": HttpFault("status", status=500),
    "500 after it took effect": HttpFault("status", status=500, after=True),
    "503": HttpFault("status", status=503),
    "half a JSON document": HttpFault("truncated"),
    "an empty list": HttpFault("empty"),
}
