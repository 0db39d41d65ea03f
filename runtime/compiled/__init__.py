"""The data plane's hot modules, compiled by mypyc: the same source, three fifths of the cost. The Python form is the reference."""
