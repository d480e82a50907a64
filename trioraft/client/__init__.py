"""The client: a protocol and decisions without I/O, and a shell of blocking sockets around them. Imports no Trio."""

from trioraft.client.blocking import Client
from trioraft.client.errors import BadRequest, ClientError, NoNode, Refused, Unknown
from trioraft.client.protocol import Push, Reply, RequestFields

__all__ = ["BadRequest", "Client", "ClientError", "NoNode", "Push", "Refused", "Reply", "RequestFields", "Unknown"]
