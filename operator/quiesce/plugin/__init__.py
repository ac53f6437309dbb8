"""`kubectl quiesce`: drains for people at a terminal.

It does nothing that its user could not do with kubectl: it reads ComputeNodeDrains, and writes the
fields and annotations that docs/usage.md names. The operator knows nothing of it.

What is shown is made by pure functions (`view`, `pages`, `document`); `terminal`, `cluster` and
`feed` do the I/O, and `commands` put them together. Whatever is read passes `view.printable`.
"""
