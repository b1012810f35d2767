#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""try_echo.py PROGRAM: a hundred connections at once to weft_echo, then SIGTERM with all of them open."""
import signal
import socket
import subprocess
import sys

with subprocess.Popen([*sys.argv[1:], "0"], stdout=subprocess.PIPE, text=True) as server:
    try:
        port = int(server.stdout.readline().rsplit(":", 1)[1])
        clients = [socket.create_connection(("127.0.0.1", port), timeout=100) for _ in range(100)]
        for turn in range(3):
            texts = [f"{turn} of {i}".encode() * 100 for i in range(len(clients))]
            for client, text in zip(clients, texts):
                client.sendall(text)
            for client, text in zip(clients, texts):
                got = b""
                while len(got) < len(text):
                    part = client.recv(len(text) - len(got))
                    assert part, "the server hung up"
                    got += part
                assert got == text, (got, text)
        server.send_signal(signal.SIGTERM)
        assert server.wait(100) == 0, server.returncode
        assert all(client.recv(1) == b"" for client in clients), "somebody was left connected"
    finally:
        server.kill()
