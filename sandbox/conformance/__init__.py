"""Does a server answer as PostgREST documents it? Cases as data, a fixture schema of their own, and a runner.

Written from PostgREST's documentation and observed behaviour for v13 to v16. No real PostgREST was run here: whoever
has one can point this at it and prove the stand-in, or the cases, wrong.
"""
