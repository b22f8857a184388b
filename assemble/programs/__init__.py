"""The bodies of the six programs of the command line."""
