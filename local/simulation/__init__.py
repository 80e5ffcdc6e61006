"""A call in virtual time: the project's own stream, render and voice code on stores that fail in every way they can.

Nothing sleeps and nothing is random but by the seed, so a run that breaks a rule can be run again.
"""
