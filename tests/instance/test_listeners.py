"""What whoever listens to a session host hears, and what stays with WhatsApp until it was heard."""

import asyncio

from hosts import held

from homing.instance.host import SessionHost
from homing.instance.notify.events import MessageReceived, MessageSent, Status, StatusChanged
from homing.instance.session.messages import Message


async def test_inbound_messages_are_told_in_order_and_then_acknowledged(world, eventually):
    await world.link("s1")
    world.network.judge.deliver("s1", "62899", "waiting", 0.0)
    await held(world.host())
    world.network.exchange._told(world.network.judge.deliver("s1", "62899", "fresh", 0.0))
    await eventually(lambda: not world.network.judge.devices["s1"].waiting)
    assert [event.text for event in world.events if isinstance(event, MessageReceived)] == ["waiting", "fresh"]


async def test_an_inbound_message_that_could_not_be_told_stays_with_whatsapp(world, logged):
    await world.link("s1")
    host = world.host()

    async def fail(event: object) -> None:
        if isinstance(event, MessageReceived):
            raise OSError("no room")

    object.__setattr__(host._opening._around, "on_event", fail)
    await held(host)
    world.network.exchange._told(world.network.judge.deliver("s1", "62899", "hello", 0.0))
    await asyncio.sleep(0.01)
    assert len(world.network.judge.devices["s1"].waiting) == 1
    assert "no room" in [line.get("error") for line in logged]


class Refusing:
    """A listener that keeps inbound messages only while it has room."""

    def __init__(self, host: SessionHost) -> None:
        self.room = False
        self.asked = 0
        self.kept: list[str] = []
        object.__setattr__(host._opening._around, "on_event", self)

    async def __call__(self, event: object) -> None:
        if isinstance(event, MessageReceived):
            self.asked += 1
            if not self.room:
                raise OSError("no room")
            self.kept.append(event.text)


async def test_what_a_listener_refused_is_given_to_it_again_in_order(world, eventually, logged):
    await world.link("s1")
    host = world.host(offer_again_s=0.002)
    listener = Refusing(host)
    await held(host)
    for n in range(5):
        world.network.exchange._told(world.network.judge.deliver("s1", "62899", str(n), 0.0))
    await eventually(lambda: listener.asked > 3)
    listener.room = True
    await eventually(lambda: not world.network.judge.devices["s1"].waiting)
    assert listener.kept == ["0", "1", "2", "3", "4"]
    assert [(line["event"], line["error"]) for line in logged] == [("Inbound messages stay with WhatsApp", "no room")]
    assert world.network.judge.stats().logins == 1, "nothing of that costs the connection"


async def test_a_message_refused_over_a_lost_connection_comes_over_the_next_one_in_order(world, eventually):
    await world.link("s1")
    host = world.host(offer_again_s=0.002)
    listener = Refusing(host)
    await held(host)
    for n in range(5):
        world.network.exchange._told(world.network.judge.deliver("s1", "62899", str(n), 0.0))
    await eventually(lambda: listener.asked > 0)
    world.network.wires[-1].cut()
    await eventually(lambda: world.network.judge.stats().logins == 2)
    listener.room = True
    await eventually(lambda: not world.network.judge.devices["s1"].waiting)
    assert listener.kept == ["0", "1", "2", "3", "4"]


async def test_messages_beyond_what_may_wait_come_over_the_next_connection(world, eventually):
    await world.link("s1")
    host = world.host(offer_again_s=0.002, inbound_waiting_max=2)
    listener = Refusing(host)
    session = await held(host)
    for n in range(5):
        world.network.exchange._told(world.network.judge.deliver("s1", "62899", str(n), 0.0))
    await eventually(lambda: listener.asked > 0)
    assert session.inbox.waiting == 2
    listener.room = True
    await eventually(lambda: not world.network.judge.devices["s1"].waiting)
    assert listener.kept == ["0", "1", "2", "3", "4"]


async def test_a_reconnection_is_told_apart_from_the_first_connection(world, eventually):
    await world.link("s1")
    session = await held(world.host())
    world.network.wires[-1].cut()
    await eventually(lambda: world.network.judge.stats().logins == 2 and session.status is Status.CONNECTED)
    said = [(event.status, event.reconnected) for event in world.events if isinstance(event, StatusChanged)]
    assert said == [(Status.CONNECTED, False), (Status.DISCONNECTED, False), (Status.CONNECTED, True)]


async def test_listeners_hear_of_sent_messages(world, eventually):
    await world.link("s1")
    host = world.host()
    await held(host)
    await host.send("s1", Message("3EB0AAAA", "62811", "hi"))
    await eventually(lambda: any(isinstance(event, MessageSent) for event in world.events))
