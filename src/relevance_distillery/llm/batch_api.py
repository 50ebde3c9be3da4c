"""OpenAI's Batch API: the calls, with retries, and what a finished batch answered."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, Self, TypeVar

import httpx2
import openai
from tenacity import Retrying

from relevance_distillery.errors import UserError
from relevance_distillery.llm.client import classify_connection_error, client_timeout
from relevance_distillery.llm.retries import (
    ErrorResponse,
    RequestError,
    RetryPolicy,
    classify_http_error,
)
from relevance_distillery.llm.settings import Endpoint

logger = logging.getLogger(__name__)

_TAG = "relevance_distillery"
_TRANSFER_SECONDS = 600.0
_LISTED = 2000
_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
_NEVER_RAN = frozenset({"batch_expired", "batch_cancelled"})
_T = TypeVar("_T")


@dataclass(frozen=True)
class BatchState:
    """The status of a batch in the server's word: `in_progress`, `completed`, `failed`, ...

    `files` are ids of its output and error files, `code` the first one of a failed validation.
    """

    batch_id: str
    status: str
    files: tuple[str, ...] = ()
    code: str = ""

    @property
    def is_running(self) -> bool:
        """Whether answers may still come; so they may with a word that is not known."""
        return self.status not in _ENDED

    @classmethod
    def of(cls, batch: Any) -> Self:
        """From the SDK's object; AttributeError where it is no batch: the SDK lets all through."""
        if not (batch.id and batch.status):
            raise AttributeError("neither id nor status")
        errors = (batch.errors.data if batch.errors else None) or []
        files = tuple(name for name in (batch.output_file_id, batch.error_file_id) if name)
        return cls(batch.id, batch.status, files, str(errors[0].code) if errors else "")


@dataclass(frozen=True)
class BatchResponse:
    """HTTP status and JSON body for one request, sent with the capabilities of `tag`."""

    code: int
    body: Any
    tag: str


class BatchLines:
    """The lines of a batch's files, found by request; the text stays on disk.

    The id of a line is the request's key, `~`, and the tag of the capabilities assumed.
    """

    def __init__(self, file: IO[bytes]) -> None:
        """Index a file of JSON lines that is kept open."""
        self._file = file
        self._places: dict[str, tuple[int, str]] = {}
        file.seek(0)
        position = 0
        for line in file:
            with suppress(ValueError, AttributeError):
                key, _, tag = str(json.loads(line).get("custom_id")).rpartition("~")
                self._places[key] = (position, tag)
            position += len(line)

    def response(self, key: str) -> BatchResponse | None:
        """What a request got; None where it never ran."""
        if key not in self._places:
            return None
        position, tag = self._places[key]
        self._file.seek(position)
        line = json.loads(self._file.readline())
        response, error = line.get("response"), line.get("error")
        if isinstance(response, dict):
            return BatchResponse(int(response.get("status_code") or 500), response.get("body"), tag)
        code = str(error.get("code")) if isinstance(error, dict) else ""
        return None if code in _NEVER_RAN else BatchResponse(500, None, tag)


class BatchAPI:
    """The calls of one run.

    Each raises a RequestError where it did not work, and a UserError where the server has no
    Batch API, or refuses key, model or account.
    """

    def __init__(
        self, endpoint: Endpoint, *, model: str, max_tries: int, policy: RetryPolicy
    ) -> None:
        """Connect to nothing yet; UserError where no key is set."""
        timeout = client_timeout(_TRANSFER_SECONDS)
        self._client = openai.OpenAI(
            api_key=endpoint.require_key(),
            base_url=endpoint.base_url.get_secret_value(),
            max_retries=0,
            timeout=timeout,
            http_client=openai.DefaultHttpxClient(timeout=timeout, follow_redirects=False),
        )
        self._host, self._model = endpoint.host, model
        self._retrying = Retrying(**policy.tenacity_options(max_tries))
        self._tagged: dict[str, BatchState] | None = None

    def close(self) -> None:
        """Close connections."""
        self._client.close()

    def upload(self, token: str, file: IO[bytes]) -> str:
        """Upload JSON lines and return the file's id; nothing is bought before `submit`."""

        def upload() -> str:
            file.seek(0)
            name = f"{_TAG}-{token}.jsonl"
            file_id = self._client.files.create(file=(name, file), purpose="batch").id
            if not file_id:
                raise AttributeError("no id")
            return file_id

        return self._call(upload)

    def submit(self, token: str, file_id: str) -> BatchState:
        """Make a batch of uploaded requests, which is found by its token when its id got lost.

        After a RequestError it is not known whether the batch exists.
        """
        tries = 0

        def create() -> BatchState:
            nonlocal tries
            tries += 1
            # The answer to the last try may have been lost, and with it a batch that runs.
            found = dict(self._list()).get(token) if tries > 1 else None
            return found or BatchState.of(
                self._client.batches.create(
                    input_file_id=file_id,
                    endpoint="/v1/chat/completions",
                    completion_window="24h",
                    metadata={_TAG: token},
                )
            )

        return self._call(create)

    def find(self, token: str) -> BatchState | None:
        """The batch that carries a token; None where there is none, or none is listed."""
        if self._tagged is None:
            try:
                self._tagged = self._call(lambda: dict(self._list()))
            except _MissingError:
                logger.warning("%s does not list batches: lost ones cannot be found", self._host)
                self._tagged = {}
        return self._tagged.get(token)

    def retrieve(self, batch_id: str) -> BatchState | None:
        """The status of a batch; None where the server does not know it any more."""
        try:
            return self._call(lambda: BatchState.of(self._client.batches.retrieve(batch_id)))
        except _MissingError:
            return None

    def download(self, file_id: str, into: IO[bytes]) -> None:
        """Append a file; a file that was deleted adds nothing."""
        start = into.tell()

        def fetch() -> None:
            into.seek(start)
            into.truncate()
            with self._client.files.with_streaming_response.content(file_id) as response:
                for chunk in response.iter_bytes():
                    into.write(chunk)

        with suppress(_MissingError):
            self._call(fetch)

    def _list(self) -> Iterator[tuple[str, BatchState]]:
        for count, batch in enumerate(self._client.batches.list(limit=100)):
            if count >= _LISTED:
                return
            token = (batch.metadata or {}).get(_TAG)
            if token:
                yield token, BatchState.of(batch)

    def _call(self, call: Callable[[], _T]) -> _T:
        try:
            return self._retrying(self._translated, call)
        except RequestError as error:
            if error.fatal:
                raise UserError(error.fatal) from None
            raise

    def _translated(self, call: Callable[[], _T]) -> _T:
        try:
            return call()
        except openai.APIStatusError as error:
            if error.status_code in (404, 405, 501):
                message = f"{self._host} has no Batch API: set batch to false."
                raise _MissingError(message) from None
            response = ErrorResponse.of(error.response)
            raise classify_http_error(response, self._host, self._model) from None
        except (openai.OpenAIError, httpx2.HTTPError, OSError) as error:
            raise classify_connection_error(error) from None
        except (AttributeError, TypeError, ValueError):
            # A web page or other JSON with HTTP 200: no Batch API is at that address.
            reason = "the answer was not one of the Batch API"
            raise RequestError("bad_response", reason, again=True) from None


class _MissingError(UserError):
    """Nothing is at an address of the Batch API."""
