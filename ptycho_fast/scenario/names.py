"""Names of scenarios, which become names of files."""

import re

PATTERN = r"(?!\.)(?!.*\.\.)[^/\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,100}"
WORDS = (
    "1 to 100 characters without / or \\ or control characters, without '..' and without a dot "
    "at the start"
)


def as_name(text: str) -> str:
    """The nearest text that is allowed as a name.

    Examples
    --------
    >>> as_name("../data/run:1")
    '_data_run:1'
    """
    clean = re.sub(r"[/\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|\.\.+", "_", text)
    return re.sub(r"^[._]+", "_", clean)[:100] or "custom"
