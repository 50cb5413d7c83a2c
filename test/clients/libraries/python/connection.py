"""Where the server is: ENDPOINT, ACCESS_KEY and SECRET_KEY of the environment (`../run.sh` sets them)."""

import os
import secrets

ENDPOINT = os.environ["ENDPOINT"]
ACCESS_KEY = os.environ["ACCESS_KEY"]
SECRET_KEY = os.environ["SECRET_KEY"]


def bucket_name(program: str) -> str:
    return f"{program}-{secrets.token_hex(6)}"
