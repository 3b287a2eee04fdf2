"""The whole product on one machine with no server to install: one supervisor and its child processes.

`children` starts, watches and ends one process; `programs` says which processes there are; `supervisor` keeps them alive.
The rest prepares: ports, broker, addresses for other terminals, a copy of the database, the first login.
"""
