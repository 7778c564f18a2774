"""The "Check for National Data Opt-outs" service: the register, the checker and the worker that answers."""
