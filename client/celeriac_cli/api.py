"""The API as commands use it: a `celeriac.Client` whose failures end the command with one sentence and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from celeriac_cli.address import default_url
from celeriac_cli.errors import CLIError, Exit, exit_of, with_row

if TYPE_CHECKING:
    from celeriac import Client


@contextmanager
def connect(url: str = "") -> Iterator[Client]:
    """A client of the API at `url`, or at `default_url()`.

    Failures are reported at once, without retries: a script that calls the command decides what to do. Raises CLIError for every
    error of the client that leaves the block.
    """
    from celeriac import APIError, CeleriacError, Client, ConnectionFailed, Timeout

    address = (url or default_url()).rstrip("/")
    try:
        client = Client(address, max_retries=0)
    except ValueError:
        raise CLIError(f"{address!r} is not the URL of an API. Use for example http://host:8000.", Exit.USAGE) from None
    with client:
        try:
            yield client
        except APIError as error:
            sentence = (
                f"{error} Set CELERIAC_API_KEY to a key, or CELERIAC_TOKEN_FILE to a file with a token."
                if error.code == "credentials_missing"
                else with_row(str(error), error.pointer)
            )
            raise CLIError(sentence, exit_of(error.code, error.status), code=error.code, pointer=error.pointer) from None
        except ConnectionFailed as error:
            raise CLIError(_unreachable(address, error), Exit.UNREACHABLE) from None
        except Timeout:
            raise CLIError(f"The API at {address} did not answer in time. Try again.", Exit.UNREACHABLE) from None
        except CeleriacError as error:
            raise CLIError(str(error), Exit.UNREACHABLE) from None


def _unreachable(address: str, error: Exception) -> str:
    from httpx import ConnectError

    cause = error.__cause__
    if isinstance(cause, ConnectError):
        return f"No API answers at {address} ({cause}): start it with `celeriac up`, or give --url"
    return f"the connection to {address} failed ({type(cause).__name__}): try again"
