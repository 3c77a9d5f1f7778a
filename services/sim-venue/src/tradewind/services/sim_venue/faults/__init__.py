"""The lies of the venue: a script says which, a ``Liar`` decides, and nothing here does I/O or has a clock of its own.

``script`` what may be said, ``liar`` what happens to each request and event, ``departures`` when events leave,
``view_history`` what a view that lags shows. The server uses it over sockets; a simulation can use it on virtual time.
"""
