"""One module a group of commands, each with a function a command: (session, flags) -> exit code.

They are loaded when they are run, because the Kubernetes client takes a second to load.
"""
