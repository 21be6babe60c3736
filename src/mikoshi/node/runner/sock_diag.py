"""Asks the kernel about one TCP connection by netlink: sock_diag(7), linux/inet_diag.h. To read all takes long."""

from __future__ import annotations

import os
import socket
import struct
from typing import Any

_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, _NLMSG_ERROR = 4, 20, 1, 2
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBBI")  # inet_diag_req_v2, then inet_diag_sockid
_SOCKID = struct.Struct("!HH16s16s")
_NO_COOKIE = struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)  # any interface
_FACTS = struct.Struct("=IIIII")  # of inet_diag_msg, after its first 4 bytes and the sockid: …, uid, inode
_ANY_STATE = 0xFFFFFFFF
_LIMIT = 1.0


def inode(family: int, local: tuple[Any, ...], remote: tuple[Any, ...]) -> int:
    """The inode of the TCP socket at `local` that is connected to `remote`; 0 if it has none, or there is none.

    Raises OSError where the kernel does not answer such questions.
    """
    sockid = _SOCKID.pack(local[1], remote[1], _packed(family, local[0]), _packed(family, remote[0])) + _NO_COOKIE
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, _ANY_STATE) + sockid
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as link:
        link.settimeout(_LIMIT)
        link.send(_HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0) + body)
        answer = link.recv(8192)
    kind = _HEADER.unpack_from(answer)[1]
    if kind == _NLMSG_ERROR:
        number = -struct.unpack_from("=i", answer, _HEADER.size)[0]
        if number == 2:  # ENOENT: no such connection
            return 0
        raise OSError(number, os.strerror(number))
    return int(_FACTS.unpack_from(answer, _HEADER.size + 4 + len(sockid))[4])


def _packed(family: int, address: str) -> bytes:
    return socket.inet_pton(family, address.partition("%")[0]).ljust(16, b"\0")
