"""Replay: what the environments did, kept in rings of rows, sampled as n-step windows, and written to disk.

`columns` <- `lane` <- `windows` <- `buffer` <- `snapshot`; `capacity` is the rule that decides when to forget.
"""
