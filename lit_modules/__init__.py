"""The Lightning side: the data module and the training module. Neither knows a trick by name."""
