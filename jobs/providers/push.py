"""Push: through Firebase, or into files where there are no credentials."""

import asyncio
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Any

from server.pool import Pool
from server.services import DeviceGone, Pusher, PushMessage, Refused, TryLater
from server.settings import Settings

TIMEOUT = 10
THREADS = 8
MAX_WAITING = 8
QUOTA_PAUSE = 60.0
SEND_PATH = "/v1/projects/{0}/messages:send"


def build_pusher(settings: Settings) -> Pusher:
    if settings.firebase_credentials is not None:
        return FirebasePusher(settings.firebase_credentials, settings.fcm_url)
    return FilePusher(settings.data_dir / "outbox")


class FilePusher:
    """Writes each push into a folder; a later one about the same thing replaces the first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, token: str, message: PushMessage) -> None:
        name = f"push.{shorten(token)}.{message.subject.replace(':', '.')}.json"
        text = json.dumps({"token": token, **asdict(message)}, ensure_ascii=False, indent=2)
        await asyncio.to_thread(self._write, name, text)

    async def check(self) -> str:
        return f"files in {self._folder}"

    def close(self) -> None:
        pass

    def _write(self, name: str, text: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / f".{name}"
        unfinished.write_text(text, "utf-8")
        unfinished.rename(self._folder / name)


class FirebasePusher:
    """FCM's HTTP v1 API, by firebase-admin, in threads of its own.

    The library renews its access token by a blocking call that may hang for two minutes. Then
    it hangs a few of these threads, and what comes beyond is tried again later.
    """

    def __init__(self, credentials: Path, fcm_url: str) -> None:
        self._credentials = credentials
        self._url = fcm_url
        self._pool = Pool("firebase", threads=THREADS, max_waiting=MAX_WAITING)
        self._app: Any = None
        self._opening = Lock()

    async def send(self, token: str, message: PushMessage) -> None:
        await self._pool.run(self._send, token, message)

    async def check(self) -> str:
        await self._pool.run(self._refresh)
        return "Firebase"

    def close(self) -> None:
        self._pool.close()

    def _send(self, token: str, message: PushMessage) -> None:
        from firebase_admin import exceptions, messaging  # noqa: PLC0415 - half a second

        app = self._open()
        try:
            messaging.send(_compose(token, message), app=app)
        except (messaging.UnregisteredError, messaging.SenderIdMismatchError):
            raise DeviceGone from None
        except exceptions.ResourceExhaustedError as error:
            raise TryLater(_read_pause(error)) from None
        except (
            exceptions.InvalidArgumentError,
            exceptions.PermissionDeniedError,
            messaging.ThirdPartyAuthError,
            ValueError,
        ) as error:
            raise Refused(type(error).__name__) from None

    def _refresh(self) -> None:
        self._open().credential.get_access_token()

    def _open(self) -> Any:
        import firebase_admin  # noqa: PLC0415 - half a second
        from firebase_admin import credentials, messaging  # noqa: PLC0415

        with self._opening:
            if self._app is None:
                self._app = firebase_admin.initialize_app(
                    credentials.Certificate(str(self._credentials)),
                    {"httpTimeout": TIMEOUT},
                    name=f"emotrack-{id(self)}",
                )
                self._configure(messaging._get_messaging_service(self._app))  # noqa: SLF001
            return self._app

    def _configure(self, service: Any) -> None:
        """What the library has no public way for: its address, and no retries of its own.

        It would sleep in the thread for as long as FCM asks it to; our jobs wait in a row.
        """
        from requests.adapters import HTTPAdapter  # noqa: PLC0415

        client, project = service._client, service._project_id  # noqa: SLF001
        for scheme in ("https://fcm.googleapis.com", "https://", "http://"):
            client.session.mount(scheme, HTTPAdapter(max_retries=0))
        if self._url:
            whole = self._url if ":send" in self._url else self._url + SEND_PATH
            service._fcm_url = whole.format(project)  # noqa: SLF001


def shorten(text: str) -> str:
    """A name for something long, safe in file names and headers."""
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _compose(token: str, message: PushMessage) -> Any:
    """One subject, one place on the screen: each platform has its own word for that."""
    from firebase_admin import messaging  # noqa: PLC0415 - half a second

    collapse = message.subject if len(message.subject) <= 64 else shorten(message.subject)
    notification = messaging.Notification(title=message.title, body=message.text)
    composed = messaging.Message(
        data=message.data,
        notification=notification,
        android=messaging.AndroidConfig(
            collapse_key=collapse,
            priority="high",
            notification=messaging.AndroidNotification(
                tag=collapse, notification_count=message.badge
            ),
        ),
        apns=messaging.APNSConfig(
            headers={"apns-collapse-id": collapse, "apns-priority": "10"},
            payload=messaging.APNSPayload(
                messaging.Aps(badge=message.badge, sound="default", thread_id=collapse)
            ),
        ),
        webpush=messaging.WebpushConfig(
            headers={"Topic": shorten(message.subject), "Urgency": "high"},
            notification=messaging.WebpushNotification(
                title=message.title, body=message.text, tag=collapse
            ),
        ),
    )
    # What apps register today are tokens; the constructor warns of them, the API takes them.
    composed.token = token
    return composed


def _read_pause(error: Any) -> float:
    try:
        return float(error.http_response.headers["Retry-After"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return QUOTA_PAUSE
