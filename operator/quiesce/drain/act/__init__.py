"""The calls that a decision asks for, and what their answers mean for the history."""

from quiesce.drain.act.actions import Acted, ActionContext, act

__all__ = ["Acted", "ActionContext", "act"]
