"""The edge: listening sockets handed to whoever asks by name."""

from __future__ import annotations

import array
import contextlib
import socket

from panal.agents.node.keeper import hand_out


def asked(edges, question: bytes):
    """What a client gets: the byte, and the sockets."""
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(question)
        ours.shutdown(socket.SHUT_WR)
        hand_out(lambda: (theirs, None), edges)
        data, ancillary, _, _ = ours.recvmsg(16, socket.CMSG_SPACE(64))
    numbers = array.array("i")
    for _, _, content in ancillary:
        numbers.frombytes(content)
    return data, [socket.socket(fileno=number) for number in numbers]


def test_a_socket_handed_out_accepts_what_comes_to_the_keepers():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        data, sockets = asked({"api": [listener.fileno()], "http": []}, b"api\n")
        assert len(data) == 1
        [received] = sockets
        with received, socket.create_connection(listener.getsockname()):
            accepted, _ = received.accept()
            accepted.close()


def test_unknown_names_and_rubbish_get_no_socket():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        edges = {"api": [listener.fileno()], "http": []}
        for question in (b"http\n", b"what\n", b"\xff\xfe\n", b"", b"x" * 200):
            with contextlib.suppress(ConnectionError):
                data, sockets = asked(edges, question)
                assert data == b"\n"
                assert sockets == []


def test_who_wants_to_dial_out_gets_a_new_socket_each_time():
    with socket.create_server(("127.0.0.1", 0)) as outside:
        for _ in range(2):
            _, [fresh] = asked({"api": []}, b"dial\n")
            with fresh:
                fresh.connect(outside.getsockname())
                outside.accept()[0].close()
