"""How a classifier takes images that it was not trained for."""
