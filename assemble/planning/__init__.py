"""Everything decided and nothing built: tricks resolved, batch split, ranges checked, plan explained."""
