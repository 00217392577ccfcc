"""The local stack: plan it, start it, watch it, stop exactly what was started.

`cli` reads the command; `up`, `down`, `status` and `run_tests` are the commands; every other module is one capability.
"""
