"""Networks from specs: each family describes a network as frozen data, which tricks edit before it is built."""
