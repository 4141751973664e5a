"""Sending what is in the outbox: mails, push messages and webhook posts.

One thread looks for targets to which something is due, at once after a change and each second. Each target
has a thread of its own while something is sent to it, so one that doesn't answer delays no other.

A message is claimed in one transaction, sent, and deleted in the next. If the server is killed in between, it
is sent once more, after the claim has run out. Nothing is sent while writes are paused.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit

from app.clock import now
from app.core.due_messages import QueuedPush, claim_push, postpone_push
from app.core.mail import send_due_mails
from app.core.models import Subscription
from app.core.outbox import MAIL, PUSH, due_targets, release_claims
from app.core.outgoing import Hosts, NoAnswer, RefusedTarget, Response, post
from app.core.places import slug_of
from app.core.subscriptions import delete_subscription
from app.core.web_push import Browser, encrypt, headers_of, origin_of, tag_of
from app.core.webhooks import Post, Webhook, claim_post, slug_of_webhook, store_result
from app.errors import Unavailable
from app.settings import Settings
from app.storage.database import Database
from app.storage.engine import OUTBOX
from app.storage.facts import PUSH_KEY, get_fact

log = logging.getLogger("takeanumber")

POLL_S = 1.0  # how often to look without a change in this process: another may have made one
COLLECT_S = 0.02  # after a change; so that many changes at once are looked at once
MAX_THREADS = 64  # targets that are sent to at the same time
MAIL_PAUSE_S = 5.0  # between two looks at the mails that are due: they may be over a limit
# Answers of a push service that mean: this browser doesn't want messages any more. Apple says it by 403.
GONE = (404, 410)
APPLE, FORBIDDEN = "web.push.apple.com", 403


class Dispatcher:
    """Sends what is due, to each target in a thread of its own."""

    def __init__(self, database: Database, settings: Settings, instance: str = ""):
        self._database = database
        self._settings = settings
        self._instance = instance or secrets.token_hex(8)  # may renew what it has claimed
        self._push_hosts = Hosts.read(settings.push_hosts).on_this_machine()
        self._webhook_hosts = Hosts.read(settings.webhook_hosts)
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._busy: set[str] = set()  # targets that have a thread
        self._mail_due_at = 0.0  # by time.monotonic()
        # An SQLite file has one server at a time, so what is claimed when it begins was left by a dead one.
        self._must_release = not settings.database_url

    def start(self, stop: threading.Event) -> None:
        """Send in the background until `stop` is set."""
        self._database.on_own_commit = self._wake.set  # other instances send what they store
        threading.Thread(target=self._run, args=(stop,), name="outbox", daemon=True).start()

    def _run(self, stop: threading.Event) -> None:
        waits_for = ""  # said once, not each second
        while not stop.is_set():
            self._wake.wait(POLL_S)
            self._wake.clear()
            try:
                for target in self._due():
                    self._start_thread(target)
                waits_for = ""
            except Unavailable as error:
                if waits_for != str(error):
                    waits_for = str(error)
                    log.info("The outbox waits: %s", error)
                stop.wait(POLL_S)
            except Exception:
                log.exception("The outbox could not be read")
                stop.wait(POLL_S)
            stop.wait(COLLECT_S)

    def _due(self) -> list[str]:
        if self._database.paused:
            return []
        if self._must_release:
            self._database.write(release_claims, self._instance)
            self._must_release = False
        with self._database.read() as db:
            targets = due_targets(db, now())
        if MAIL in targets and not self._settings.mail_enabled:
            targets.remove(MAIL)
        return targets

    def _start_thread(self, target: str) -> None:
        with self._lock:
            if target in self._busy or len(self._busy) >= MAX_THREADS:
                return
            if target == MAIL:
                if time.monotonic() < self._mail_due_at:
                    return
                self._mail_due_at = time.monotonic() + MAIL_PAUSE_S
            self._busy.add(target)
        thread = threading.Thread(target=self._run_target, args=(target,), name=f"to {target}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the machine has no more threads
            with self._lock:
                self._busy.discard(target)
            raise

    def _run_target(self, target: str) -> None:
        try:
            self._send_to(target)
        except Unavailable as error:
            log.info("The outbox waits: %s", error)
        except Exception:
            log.exception("What is due to %s could not be sent", target)
        finally:
            with self._lock:
                self._busy.discard(target)
            self._wake.set()  # something may have come meanwhile

    def _send_to(self, target: str) -> None:
        channel, _, rest = target.partition(" ")
        if target == MAIL:
            while send_due_mails(self._database, now(), self._settings, self._instance):
                pass
        elif channel == PUSH:
            self._send_pushes(target)
        else:
            self._send_posts(int(rest))

    # ----- push

    def _send_pushes(self, target: str) -> None:
        with self._database.read() as db:
            key = get_fact(db, PUSH_KEY)
        sent: int | None = None
        while claimed := self._database.write_in(OUTBOX, claim_push, now(), target, sent, self._instance):
            queued, subscription = claimed
            sent = queued.id if self._push(queued, subscription, key) else None

    def _push(self, queued: QueuedPush, subscription: Subscription, key: str) -> bool:
        """Send a message; return True if it was accepted, else store what to do with it."""
        origin = origin_of(subscription.endpoint)
        # A push service wants to know whom to write to; the pages of this server say so.
        contact = origin_of(subscription.ticket_url)
        topic = tag_of(queued.content) if queued.ticket_id is None else f"ticket-{queued.ticket_id}"
        headers = headers_of(now(), key, origin, contact, topic)
        browser = Browser(subscription.endpoint, subscription.p256dh or "", subscription.auth or "")
        try:
            body = encrypt(queued.content.encode(), browser)
            response = post(subscription.endpoint, body, headers, self._push_hosts)
        except RefusedTarget as error:
            log.warning("A message was not pushed: %s", error)
            self._forget(queued)
            return False
        except NoAnswer as error:
            self._database.write_in(OUTBOX, postpone_push, now(), queued, str(error))
            return False
        if 200 <= response.status < 300:
            return True
        self._handle_push_error(queued, origin, response)
        return False

    def _handle_push_error(self, queued: QueuedPush, origin: str, response: Response) -> None:
        host = urlsplit(origin).hostname or ""
        is_over = response.status in GONE or (response.status == FORBIDDEN and host == APPLE)
        if is_over:
            self._forget(queued)
            return
        reason = f"{response.status} {response.text}".strip()[:200]
        log.warning("A push message was refused by %s: %s", host, reason)
        self._database.write_in(OUTBOX, postpone_push, now(), queued, reason)

    def _forget(self, queued: QueuedPush) -> None:
        with self._database.read() as db:
            slug = slug_of(db, queued.place_id)
        self._database.write_in(slug, delete_subscription, queued.subscription_id)

    # ----- webhooks

    def _send_posts(self, webhook_id: int) -> None:
        with self._database.read() as db:
            slug = slug_of_webhook(db, webhook_id)
        if slug is None:
            return  # it was removed just now
        while claimed := self._database.write_in(slug, claim_post, now(), webhook_id, self._instance):
            waiting, webhook = claimed
            self._post(slug, waiting, webhook)

    def _post(self, slug: str, waiting: Post, webhook: Webhook) -> None:
        began_at = time.monotonic()
        status = None
        body = waiting.content.encode()
        try:
            headers = _signed(webhook.secret, waiting.message_id, now(), waiting.content)
            response = post(webhook.url, body, headers, self._webhook_hosts)
            status, text = response.status, response.text
            if 300 <= status < 400:
                text = "This is a redirect. Enter the address that it leads to."
        except RefusedTarget as error:
            text = f"Not sent: {error}"
        except NoAnswer as error:
            text = str(error)
        duration_s = time.monotonic() - began_at
        self._database.write_in(
            slug, store_result, now(), waiting, status=status, answer=text, duration_s=duration_s
        )


def _signed(secret: str, message_id: str, at: float, content: str) -> dict[str, str]:
    """Return the headers of a post, with the signature of standardwebhooks.com."""
    from standardwebhooks import Webhook as Signer

    return {
        "Content-Type": "application/json",
        "User-Agent": "TakeANumber/1.0",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at)),
        "webhook-signature": Signer(secret).sign(message_id, datetime.fromtimestamp(int(at), UTC), content),
    }
