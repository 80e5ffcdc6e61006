"""Duckline: one continuous music bed on a call, with speech ducked over it at any moment."""
