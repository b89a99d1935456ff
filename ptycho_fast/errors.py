"""Errors that users of the package may want to catch."""


class ScenarioError(ValueError):
    """A scenario that cannot be: an unknown key, a wrong value, an unreadable file.

    Parameters
    ----------
    message : str
        One line that says what is wrong, what was given and what is allowed.
    key : str, optional
        Dotted path of the key at fault, such as ``"dose.nphotons"``; empty when the
        fault is not in a single key.

    Attributes
    ----------
    key : str
        The same dotted path.
    """

    def __init__(self, message: str, *, key: str = "") -> None:
        super().__init__(message)
        self.key = key


class DataWarning(UserWarning):
    """Something is allowed, but can hardly be meant: positions in metres, a dark data set."""
