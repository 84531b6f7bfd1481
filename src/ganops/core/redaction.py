"""Text without secrets: addresses, exceptions of servers and their answers pass here before anybody sees them."""

import os
import re
from collections.abc import Iterator

NAMING = {"abfs", "abfss", "git+ssh", "hdfs", "sftp", "ssh", "webdav", "webdavs"}
"""Schemes of addresses in which a word before @, without a password, names a container or a user."""
SHORTEST = 6
"""Characters of a variable's value that is looked for in a text: a shorter one would be found in innocent words."""
MAX_CHARS = 300
"""Characters of what a server says: the rest of its page helps nobody."""
HIDDEN = "***"

_SECRET = re.compile(r"(PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|KEY|CONNECTION_STRING)$")
# each begins at the start of a word and is bounded: a page of megabytes must not take minutes
_ADDRESS = re.compile(r"(?<![\w+.-])(?P<scheme>[A-Za-z][\w+.-]{0,40})://(?P<user>[^\s/?#\"'<>]{0,2000})@")
_PASSWORD = re.compile(r"[\w+.-]+://[^\s:@]*:(\S*)@[^\s@]*")
_KEYS = "(?:access|account|api|secret|private)[_-]?key"
_NAMES = rf"password|passwd|passphrase|pwd|secret|token|signature|sig|credential|{_KEYS}"
_OPTION = re.compile(rf"(?i)(?<![\w-])([\w-]{{0,40}}?(?:{_NAMES})=)('[^']*'|\"[^\"]*\"|[^\s&;,'\")]+)")
_FIELD = re.compile(rf"(?i)(\"[\w-]{{0,40}}?(?:{_NAMES})\"\s*:\s*\")[^\"]*(?=\")")
_HEADER = re.compile(r"(?i)(authorization['\"]?\s*[:=]\s*['\"]?(?:basic\s+|bearer\s+)?)[^\s'\",]+")


def is_secret(variable: str) -> bool:
    """Tell whether the name of a variable or option says that its value is a secret: MLFLOW_TRACKING_PASSWORD."""
    return bool(_SECRET.search(variable.upper()))


def carries_secret(address: str) -> bool:
    """Tell whether an address holds a password, a key, or a name that may be one."""
    return _by_form(address) != address


def redacted(text: str) -> str:
    """A text without the names and passwords in its addresses, and without the secrets of this process's environment.

    Hidden are `user:password@` of any address; values of `password=`, `token=`, `signature=` and their like, of the
    same fields in JSON, and of headers of authorization; and values of variables whose names say that they are secret,
    wherever they stand.
    """
    for secret in sorted(set(_known()), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _by_form(text)


def reason(error: BaseException, *, named: bool = True) -> str:
    """Return the words of an error in a line of at most 300 characters, without secrets; its kind where it has none.

    The first line, and where a server's traceback follows, the last one, which tells the cause. Without `named` an
    error of the disk names no file: the words are the same on every machine.
    """
    said = str(error) if named else str(getattr(error, "strerror", None) or error)
    lines = [" ".join(line.split()) for line in redacted(said).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    told = [lines[0], lines[-1]] if any(line.startswith("Traceback") for line in lines[1:]) else lines[:1]
    return " ... ".join(line if len(line) <= MAX_CHARS else f"{line[:MAX_CHARS]}..." for line in told)


def _by_form(text: str) -> str:
    text = _ADDRESS.sub(_without_user, text)
    for pattern in (_OPTION, _FIELD, _HEADER):
        text = pattern.sub(rf"\g<1>{HIDDEN}", text)
    return text


def _without_user(match: re.Match[str]) -> str:
    is_name = match["scheme"].lower() in NAMING and ":" not in match["user"]
    return match[0] if is_name else f"{match['scheme']}://"


def _known() -> Iterator[str]:
    """Secrets of this process: values of variables, and passwords of addresses in them, however these are written."""
    for name, value in os.environ.items():
        found = [value] if is_secret(name) else [match[1]] if (match := _PASSWORD.fullmatch(value)) else []
        yield from (secret for secret in found if len(secret) >= SHORTEST)
