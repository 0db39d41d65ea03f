"""The data plane's hot modules, compiled by mypyc: the same source, half the cost. The Python form is the reference."""
