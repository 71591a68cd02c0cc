"""The reference, and a second port where each scrape meets another trap."""

import contextlib
import itertools
import runpy
import socket
import threading
import time

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
GAUGE = b"# HELP mltrainingjob_jobs_active x\n# TYPE mltrainingjob_jobs_active gauge\n"


def without_end(peer):
    peer.sendall(OK)
    while True:
        peer.sendall(b"x" * 65536)


def drips(peer):
    for byte in itertools.cycle(OK[:20]):
        peer.sendall(bytes([byte]))
        time.sleep(0.2)


def garbage(peer):
    peer.sendall(b"\x00\xff\x1b[2J" * 1000)


def silent(peer):
    time.sleep(3600)


def endless_headers(peer):
    peer.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        peer.sendall(b"X-A: " + b"y" * 1000 + b"\r\n")


def huge_length(peer):
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\nmltrainingjob_jobs_active 1\n")
    time.sleep(3600)


def short(peer):
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\nmltrainingjob_jobs_active 1\n")


def many_series(peer):
    lines = b"".join(b'mltrainingjob_jobs_active{a="%d"} 1\n' % number for number in range(90_000))
    peer.sendall(OK + GAUGE + lines)


def odd_numbers(peer):
    peer.sendall(OK + GAUGE + b'mltrainingjob_jobs_active NaN\nmltrainingjob_jobs_active{a="1"} +Inf\n')


TRAPS = (without_end, garbage, endless_headers, many_series, odd_numbers, short, huge_length, drips, silent)


def serve():
    listener = socket.create_server(("0.0.0.0", 9090))
    for trap in itertools.cycle(TRAPS):
        peer, _ = listener.accept()
        print("scraped:", trap.__name__, flush=True)
        threading.Thread(target=answer, args=(trap, peer), daemon=True).start()


def answer(trap, peer):
    with contextlib.suppress(OSError):
        trap(peer)
    peer.close()


threading.Thread(target=serve, daemon=True).start()
runpy.run_module("mltj_operator", run_name="__main__", alter_sys=True)
