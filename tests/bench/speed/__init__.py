"""`make bench`: what the hub does on this machine, beside a bare chain through the same RabbitMQ.

`__main__.py` says what is run and printed; docs/performance.md says what it means.
"""
