"""A faithful Novita: a real HTTP server speaking the provider's contract, stateful and driven by time.

Plain Python, no Django, and nothing of the client beside it: two readings of one contract, so that
neither can hide the other's mistakes. `server.SimulatorServer` runs it inside a process,
`python -m instances.novita.simulator` as one.
"""
