"""The client: a protocol and decisions without I/O, and a shell of blocking sockets around them. Imports no Trio."""

from trioraft.client.blocking import Client
from trioraft.client.errors import BadRequest, ClientError, NoNode, Refused, Unknown
from trioraft.client.leases import KeptLease
from trioraft.client.protocol import Line, Push, Reply, RequestFields
from trioraft.client.standing import Standing, Waiting, Watching
from trioraft.client.streams import Stream

__all__ = [
    "BadRequest",
    "Client",
    "ClientError",
    "KeptLease",
    "Line",
    "NoNode",
    "Push",
    "Refused",
    "Reply",
    "RequestFields",
    "Standing",
    "Stream",
    "Unknown",
    "Waiting",
    "Watching",
]
