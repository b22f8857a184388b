"""How a classifier takes pictures that it was not trained for."""
