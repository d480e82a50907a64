"""The client: a protocol without I/O, and a shell of blocking sockets around it. Imports no Trio."""

from trioraft.client.blocking import Client
from trioraft.client.errors import BadRequest, ClientError, NoNode, Refused, Unknown
from trioraft.client.protocol import Reply, RequestFields

__all__ = ["BadRequest", "Client", "ClientError", "NoNode", "Refused", "Reply", "RequestFields", "Unknown"]
