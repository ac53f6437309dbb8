"""The whole loop of a drain against a model of Nova: people act, things break, the operator dies, and nothing may go wrong."""
