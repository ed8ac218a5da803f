"""The firewall's rules at work: `unshare --net python3 firewall.py RULES`. Two networks, a cable, and knocks on doors.

The box is a network of its own with services on good ports and bad; the world is this one. Says what was reached, before
the rules and with them, as JSON."""

import ctypes
import json
import os
import socket
import subprocess
import sys
import threading

OPEN, SHUT = [25, 80, 443, 465, 587, 993, 9464], [22, 53, 111, 3306, 4190, 8443]
BOX, WORLD = ("10.77.0.1", "fd77::1"), ("10.77.0.2", "fd77::2")
rules, = sys.argv[1:]


def run(*words, inside=None):
    enter = ["nsenter", "--target", str(inside), "--net"] if inside else []
    subprocess.run([*enter, *words], check=True, stdout=subprocess.DEVNULL)


def serve(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen()

    def answer():
        while True:
            connection, _ = listener.accept()
            connection.sendall(b"here\n")
            connection.close()
    threading.Thread(target=answer, daemon=True).start()


def knock(address, port, patience=1.0):
    try:
        with socket.create_connection((address, port), timeout=patience) as connection:
            return connection.recv(10) == b"here\n"
    except OSError:
        return False


def ping(address):
    """An echo request (RFC 792), by hand."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.settimeout(1)
        words = bytes([8, 0, 0, 0, 0, 7, 0, 1])
        total = sum(int.from_bytes(words[i:i + 2], "big") for i in range(0, 8, 2))
        check = (~(total + (total >> 16)) & 0xffff).to_bytes(2, "big")
        raw.sendto(words[:2] + check + words[4:], (address, 0))
        try:
            return any(raw.recv(100)[20] == 0 for _ in range(3))
        except OSError:
            return False


read, write = os.pipe()
box = os.fork()
if box == 0:
    os.close(write)
    # The box: waits in a network of its own for its cable, serves, and asks the world when it is told to.
    if ctypes.CDLL(None, use_errno=True).unshare(0x40000000) != 0:  # CLONE_NEWNET
        os._exit(1)
    os.read(read, 1)
    for address in BOX:
        for port in OPEN + SHUT:
            serve(address, port)
    os.read(read, 1)
    reached = all(knock(address, 443, 3) for address in WORLD)
    os._exit(0 if reached else 3)

os.close(read)
# Until the box has its own network, its link is ours.
own = os.readlink("/proc/self/ns/net")
while os.readlink(f"/proc/{box}/ns/net") == own:
    pass
run("ip", "link", "add", "world", "type", "veth", "peer", "name", "box", "netns", str(box))
for who, link, addresses in ((None, "world", WORLD), (box, "box", BOX)):
    run("ip", "link", "set", "lo", "up", inside=who)
    run("ip", "address", "add", f"{addresses[0]}/24", "dev", link, inside=who)
    run("ip", "-6", "address", "add", f"{addresses[1]}/64", "dev", link, "nodad", inside=who)
    run("ip", "link", "set", link, "up", inside=who)
os.write(write, b"1")
while not all(knock(address, SHUT[-1]) for address in BOX):
    pass
before = {port: [knock(address, port) for address in BOX] for port in OPEN + SHUT}
run("nft", "--file", rules, inside=box)
# What was learnt before is forgotten: neighbours have to be found again, through the rules.
run("ip", "neighbour", "flush", "dev", "world")
run("ip", "neighbour", "flush", "dev", "box", inside=box)
after = {port: [knock(address, port) for address in BOX] for port in OPEN + SHUT}
for address in WORLD:
    serve(address, 443)
pinged = ping(BOX[0])
os.write(write, b"1")
_, status = os.waitpid(box, 0)
print(json.dumps({
    "unreached_before": sorted(port for port, seen in before.items() if not all(seen)),
    "wrongly_shut": sorted(port for port in OPEN if not all(after[port])),
    "wrongly_open": sorted(port for port in SHUT if any(after[port])),
    "ping": pinged,
    "out": os.waitstatus_to_exitcode(status) == 0,
}))
