"""What `python -m benchmarks run shadow` is made of: is a difference found, and nothing else?"""
