"""The least that a function can be: what the cold starts and the stream are measured against."""
