"""A trick, a network and a data set for Assemble."""
