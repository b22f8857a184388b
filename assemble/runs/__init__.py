"""One configuration, one directory: its identity, its checkpoint, its result, and the training in between."""
