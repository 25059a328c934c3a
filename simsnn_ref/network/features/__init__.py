"""The first layer: three products with the cosine features, which are never stored.

`base` says what they are, `dense`, `separable`, `fft` and `linear` compute them, `make_map` chooses by `cost`.
"""
