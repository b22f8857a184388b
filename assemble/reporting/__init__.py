"""Many runs -> the ablation table: terminal, Markdown, CSV, LaTeX, one HTML page, PNG, W&B."""
