"""Many runs: designed, planned, launched, summed up."""
