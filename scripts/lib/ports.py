#!/usr/bin/env python3
"""ports.py ADDRESS...: says of each ip:port that cannot be bound who has it; exit code 1 if there is one."""

import os
import socket
import sys


def owner(port):
    """The process that listens on `port`, as text, as far as this user may know."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as lines:
                for line in list(lines)[1:]:
                    fields = line.split()
                    if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                        inodes.add("socket:[%s]" % fields[9])
        except OSError:
            pass
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            descriptors = "/proc/%s/fd" % pid
            if any(os.readlink(os.path.join(descriptors, fd)) in inodes for fd in os.listdir(descriptors)):
                with open("/proc/%s/cmdline" % pid, "rb") as text:
                    command = text.read().replace(b"\0", b" ").decode(errors="replace").strip()
                return "process %s (%s)" % (pid, command[:120])
        except OSError:
            continue
    return "a process of another user" if inodes else "another address of this machine, or a closing connection"


def main():
    taken = 0
    for address in sys.argv[1:]:
        host, port = address.rsplit(":", 1)
        host = host.strip("[]")
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, int(port)))
            except OSError as error:
                taken += 1
                print("%s cannot be used (%s): it belongs to %s" % (address, error.strerror, owner(int(port))))
    sys.exit(1 if taken else 0)


main()
