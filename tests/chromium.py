"""The browser of the browser tests: the one that BROWSER_PATH names, the system's, or the one in an npm package."""

import functools
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from runtime.settings import inherited_environment
from tests import npm

ARGUMENTS = tuple(
    """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync""".split()
)
START_SECONDS = 60

# The package unpacks its browser into the temporary folder and answers with the path. /tmp is shared: what root
# unpacked there another user could not start, so the folder is one of the checkout.
_UNPACK_FOLDER = npm.CACHE / "chromium"
_UNPACK = "import('@sparticuz/chromium').then(m => m.default.executablePath()).then(console.log)"


class NoChromium(Exception):
    """No browser here; the message is one sentence for the table of tiers."""


@dataclass(frozen=True, kw_only=True)
class Chromium:
    """For Playwright: `chromium.launch(executable_path=path, args=arguments)`."""

    path: str
    arguments: tuple[str, ...]


@functools.cache
def find() -> Chromium:
    """The first browser that starts, in the order above. Raises NoChromium.

    A BROWSER_PATH that does not start is an error of its own: nothing else is tried behind the user's back.
    """
    named = inherited_environment().get("BROWSER_PATH")
    if named:
        return _started(Chromium(path=named, arguments=ARGUMENTS))
    system = shutil.which("chromium") or shutil.which("chromium-browser")
    if system:
        return _started(Chromium(path=system, arguments=ARGUMENTS))
    return _started(
        Chromium(path=_from_npm(), arguments=(*ARGUMENTS, "--single-process", "--no-zygote"))
    )


def _from_npm() -> str:
    nothing = "no BROWSER_PATH, no chromium on the PATH"
    try:
        folder = npm.install()
    except npm.NpmUnavailable as error:
        raise NoChromium(f"{nothing}, {error}") from None
    if not (folder / "node_modules" / "@sparticuz" / "chromium").is_dir():
        raise NoChromium(f"{nothing}, @sparticuz/chromium is not in tests/node")
    try:
        _UNPACK_FOLDER.mkdir(parents=True, exist_ok=True)
        environment = inherited_environment() | {"TMPDIR": str(_UNPACK_FOLDER)}
        return _output(["node", "--input-type=module", "-e", _UNPACK], folder, environment)
    except (OSError, subprocess.SubprocessError):
        raise NoChromium(f"{nothing}, @sparticuz/chromium does not unpack") from None


def _started(found: Chromium) -> Chromium:
    try:
        _output([found.path, "--no-sandbox", "--version"])
    except (OSError, subprocess.SubprocessError) as error:
        raise NoChromium(f"{found.path} does not start ({type(error).__name__})") from None
    return found


def _output(
    command: list[str], folder: Path | None = None, environment: dict[str, str] | None = None
) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=True,
    )
    return done.stdout.strip()
