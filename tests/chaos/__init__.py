"""`make chaos`: a real stack under load, faults from a seed, and a ledger in the end that must balance.

`plan` decides everything from the seed; `stack` brings the stack up; `load` is the client, `receiver` the web hook
consumer, `faults` the bad luck; `evidence` gathers what everybody says afterwards, `ledger` judges it, `report` prints.
"""
