"""Notices by Redis or Valkey: quick word to many gateways. Nothing is decided by it."""

from collections.abc import Callable, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from sqlalchemy import Connection

from homing.ports import Notice
from homing.store.notices.notices import Announce
from homing.store.notices.remote import CarriedNotices

CHANNEL = "homing:notices"

_ERRORS = (RedisError, OSError, TimeoutError)


class RedisNotices(CarriedNotices):
    """Notices between all gateways that name the same Redis and the same channel.

    They are published after the commit: a gateway that dies in between takes its word with it, so cached routes
    must also age out by themselves.
    """

    def __init__(
        self,
        url: str,
        *,
        channel: str = CHANNEL,
        probe_every_s: float = 2.0,
        probe_timeout_s: float = 2.0,
        timeout_s: float = 1.0,
    ) -> None:
        super().__init__("Redis", _ERRORS, start_timeout_s=3.0)
        self._channel = channel
        self.client_name = f"homing-{self._sender[:12]}"
        self._probe_every_s = probe_every_s
        self._probe_timeout_s = probe_timeout_s
        self._redis: Redis = Redis.from_url(
            url,
            protocol=2,
            client_name=self.client_name,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # The library would connect again by itself and say nothing of what it missed.
            retry=Retry(NoBackoff(), 0),
        )

    def stage(self, connection: Connection, notices: Sequence[Notice]) -> Announce:  # noqa: ARG002 - Redis knows no transaction of ours
        return lambda: self.publish(notices)

    async def close(self) -> None:
        await super().close()
        await self._redis.aclose()

    async def _send(self, payloads: Sequence[str]) -> None:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for payload in payloads:
                pipeline.publish(self._channel, payload)
            await pipeline.execute()

    async def _listen(self, ready: Callable[[], None]) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(self._channel)
            subscribed = False
            while True:
                message = await self._next_message(pubsub)
                if message["type"] == "message":
                    self._received(bytes(message["data"]).decode("utf-8", "replace"))
                    continue
                if message["type"] == "subscribe":
                    if subscribed:
                        raise ConnectionResetError("the connection was replaced")
                    subscribed = True
                    ready()
                await self._settle_debt()

    async def _next_message(self, pubsub: PubSub) -> dict[str, Any]:
        message: dict[str, Any] | None = await pubsub.get_message(timeout=self._probe_every_s)
        if message is None:
            await pubsub.ping()
            message = await pubsub.get_message(timeout=self._probe_timeout_s)
        if message is None:
            raise TimeoutError
        return message
