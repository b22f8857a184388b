"""Arguments checked before anything is imported that takes time, help, and errors in one line."""
