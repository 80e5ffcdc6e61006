"""Behaviours of Twilio × settings: the project's own functions against the simulated Twilio, in virtual time.

`make matrix` writes the table docs/matrix.md. What is heard is judged frame by frame, in the recording alone.
"""
