"""The whole loop of a drain against a model of Nova.

People act, things break, the operator dies, and nothing may go wrong.
"""
