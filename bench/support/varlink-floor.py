"""The least that a service can do: says the same to every call, without looking at it.

varlink-floor.py SOCKET REPLY serves one connection after the other, until it is ended.
"""

import socket
import sys

path, reply = sys.argv[1], sys.argv[2].encode() + b"\0"
listening = socket.socket(socket.AF_UNIX)
listening.bind(path)
listening.listen()
while True:
    client, _ = listening.accept()
    with client:
        while calls := client.recv(1 << 16).count(0):
            client.sendall(reply * calls)
