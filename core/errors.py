"""The one exception that stands for a user's mistake."""


class UserError(Exception):
    """A mistake the user can mend: shown as one line ``error: ...`` with exit code 2, no traceback.

    The message says what is wrong and what to do about it.
    """
