"""Pretended worlds, one for each port. All write to one log, so that tests can compare the order of what was done."""
