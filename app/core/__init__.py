"""The rules: places, queues, tickets, counters, calls, contacts.

Nothing here knows Flask, HTTP, URLs or the words of the interface. A function takes a connection, the time
and plain values, returns a dataclass of `models.py`, and raises an exception of `errors.py`.
"""
