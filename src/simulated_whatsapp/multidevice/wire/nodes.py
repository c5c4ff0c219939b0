"""Nodes: what the protocol says, once it is decrypted. A tag, attributes, and other nodes or bytes in it."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class Node:
    """One node. ``content`` is nodes, bytes or a text; the empty tuple is none."""

    tag: str
    attrs: dict[str, str] = field(default_factory=dict)
    content: "tuple[Node, ...] | bytes | str" = ()

    @property
    def children(self) -> "tuple[Node, ...]":
        return self.content if isinstance(self.content, tuple) else ()

    @property
    def data(self) -> bytes:
        """The content as bytes; empty where it holds nodes."""
        match self.content:
            case bytes():
                return self.content
            case str():
                return self.content.encode()
            case _:
                return b""

    def child(self, tag: str) -> "Node | None":
        return next((each for each in self.children if each.tag == tag), None)

    def all(self, tag: str) -> "Iterable[Node]":
        return (each for each in self.children if each.tag == tag)

    def bytes_of(self, tag: str) -> bytes:
        """The bytes in a child; empty where it is missing."""
        found = self.child(tag)
        return found.data if found else b""

    def get(self, name: str) -> str:
        return self.attrs.get(name, "")

    def with_attrs(self, **changed: str) -> Self:
        return replace(self, attrs=self.attrs | changed)


def node(tag: str, *content: "Node", **attrs: str) -> Node:
    """A node of nodes. A name that Python keeps for itself has an underscore behind it: ``from_``."""
    return Node(tag, _named(attrs), content)


def leaf(tag: str, content: bytes, **attrs: str) -> Node:
    """A node of bytes."""
    return Node(tag, _named(attrs), content)


def _named(attrs: dict[str, str]) -> dict[str, str]:
    return {name.removesuffix("_").replace("__", "-"): value for name, value in attrs.items()}
