"""Keys of tests, in the form of the settings. Fixed, so that a failing run fails again."""

import base64

from runtime.keyring import KEY_BYTES, Keyring, read_keyring


def key_setting(*ids: str) -> str:
    """A setting with a key of its own for each id, newest first."""
    return ",".join(f"{key_id}:{_encoded(key_id)}" for key_id in ids)


def keyring(*ids: str) -> Keyring:
    return read_keyring(key_setting(*ids))


def _encoded(key_id: str) -> str:
    return base64.b64encode(key_id.encode().ljust(KEY_BYTES, b"*")).decode()
