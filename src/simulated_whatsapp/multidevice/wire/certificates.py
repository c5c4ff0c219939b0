"""The chain that says whose static key a server has: a root signs an intermediate, which signs the leaf.

``CertChain`` {1 leaf, 2 intermediate}, each {1 details, 2 signature}; details {1 serial, 2 issuer's serial, 3 key, 4
not before, 5 not after}. Baileys 7.0.0-rc14 wants the intermediate's issuer to have the serial 0, and checks both.
"""

from simulated_whatsapp.multidevice.wire import protobuf
from simulated_whatsapp.multidevice.wire.curve import KeyPair, new_pair, sign, verified

ROOT_SERIAL = 0
_INTERMEDIATE_SERIAL = 3
_LEAF_SERIAL = 5
_DAY_S = 86400


def chain_for(root: KeyPair, static: bytes, now: float) -> bytes:
    """A chain for a server's static key, good from a day ago for ten years."""
    intermediate = new_pair()
    times = int(now) - _DAY_S, int(now) + 3650 * _DAY_S
    middle = _details(_INTERMEDIATE_SERIAL, ROOT_SERIAL, intermediate.public, times)
    leaf = _details(_LEAF_SERIAL, _INTERMEDIATE_SERIAL, static, times)
    return protobuf.message(
        (1, protobuf.message((1, leaf), (2, sign(intermediate.private, leaf)))),
        (2, protobuf.message((1, middle), (2, sign(root.private, middle)))),
    )


def is_vouched_for(chain: bytes, root: bytes, static: bytes) -> bool:
    """Whether the root's owner vouches for this static key."""
    given = protobuf.fields(chain)
    leaf, middle = (protobuf.fields(protobuf.part(given, number) or b"") for number in (1, 2))
    told, above = (protobuf.part(each, 1) or b"" for each in (leaf, middle))
    key = protobuf.part(protobuf.fields(above), 3) or b""
    return (
        verified(root, above, protobuf.part(middle, 2) or b"")
        and verified(key, told, protobuf.part(leaf, 2) or b"")
        and protobuf.part(protobuf.fields(told), 3) == static
    )


def _details(serial: int, issuer: int, key: bytes, times: tuple[int, int]) -> bytes:
    return protobuf.message((1, serial), (2, issuer), (3, key), (4, times[0]), (5, times[1]))
