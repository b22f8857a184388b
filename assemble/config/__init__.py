"""From words to a typed configuration: groups, recipes, Hydra's store, composition, selection of tricks."""
