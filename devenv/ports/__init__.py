"""What devenv needs of the world, as protocols, with the records that they exchange.

devenv/adapters has the real implementations, tests/fakes those for tests.
"""
