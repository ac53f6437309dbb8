"""The one error a user of the bed sees."""


class BedError(Exception):
    """What is wrong, where, and what to do; printed without a traceback."""
