"""`ObjectUrl`: where files are kept, as a setting: `file:///folder`, `memory:///`, or an S3 bucket.

`s3://bucket/prefix?endpoint=&region=&access_key_id=&secret_access_key=`, each value percent-encoded. Without keys the
platform's own are taken (instance role, AWS environment).

ObjectUrlInvalid   the setting is not of that form; the message holds nothing of it
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

_OPTIONS = frozenset({"endpoint", "region", "access_key_id", "secret_access_key"})


class ObjectUrlInvalid(ValueError):
    pass


@dataclass(frozen=True, kw_only=True)
class ObjectUrl:
    """`path` is the folder of `file`, or the prefix of `s3`, without slashes around it; the options are in no repr."""

    scheme: str
    bucket: str = ""
    path: str = ""
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def encrypted(self) -> bool:
        """Whether what travels is: a folder's and memory's files do not."""
        return not self.options.get("endpoint", "").startswith("http://")


def read_object_url(text: str) -> ObjectUrl:
    """Raises ObjectUrlInvalid."""
    parts = urlsplit(text)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    path = unquote(parts.path)
    found = ObjectUrl(scheme=parts.scheme, bucket=parts.netloc, path=path, options=options)
    match parts.scheme:
        case "memory":
            wrong = bool(parts.netloc or options)
        case "file":
            wrong = bool(parts.netloc or options) or not path.strip("/")
        case "s3":
            wrong = not parts.netloc or not options.keys() <= _OPTIONS
        case _:
            wrong = True
    if wrong:
        raise ObjectUrlInvalid("use file:///folder, memory:/// or s3://bucket?endpoint=...")
    return found
