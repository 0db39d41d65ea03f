"""Access tokens of the sample users, as signing in at the stand-in gives them, but good for hours.

Made with the stand-in's own keys, so that nobody has to sign in seventeen times at each start.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from sandbox.seed.people import Person
from sandbox.supabase.keys import SAMPLE_SECONDS, Keyring, User


def sample_tokens(keys: Keyring, people: Iterable[Person]) -> dict[str, str]:
    """By the name of the person."""
    return {
        person.name: keys.mint(
            User(
                id=str(person.id),
                email=person.email,
                app_metadata=person.app_metadata,
                user_metadata={"full_name": person.full_name},
                created_at=datetime(2023, 1, 1, 8, tzinfo=UTC).isoformat(),
            ),
            seconds=SAMPLE_SECONDS,
        )
        for person in people
    }
