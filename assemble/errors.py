"""The one exception that stands for a user's mistake."""


class UserError(Exception):
    """A mistake the user can mend: shown as one line ``error: ...`` with exit code 2, no traceback.

    The message says what is wrong and what to do about it.
    """


def require(*rules: tuple[bool, str]) -> None:
    """Raise `UserError` with the message of the first rule (whether it holds, message) that does not hold."""
    for holds, message in rules:
        if not holds:
            raise UserError(message)
