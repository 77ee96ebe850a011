"""A file system for FUSE at the directory given, with one file, a.txt. It never answers for the name "hang".

Says "mounted", or why it cannot be. It ends, and with it every call that waits, when its input does.
"""
import ctypes
import os
import struct
import sys
import threading

device = os.open("/dev/fuse", os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
if libc.mount(b"hang", sys.argv[1].encode(), b"fuse", 0, options):
    sys.exit(f"cannot mount: {os.strerror(ctypes.get_errno())}")
print("mounted", flush=True)


def attributes(inode, mode, size):
    return struct.pack("<6Q10I", inode, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 512, 0)


ROOT, FILE = attributes(1, 0o40755, 0), attributes(2, 0o100644, 5)
LOOKUP, GETATTR, OPEN, READ, STATFS, RELEASE, FLUSH, INIT, OPENDIR, RELEASEDIR = 1, 3, 14, 15, 17, 18, 25, 26, 27, 29
FORGET, INTERRUPT, BATCH_FORGET = 2, 36, 42


def answer(operation, node, body):
    if operation == INIT:
        return 0, struct.pack("<4I2H2I2H8I", 7, 31, 65536, 0, 12, 10, 65536, 1, 0, 0, *[0] * 8)
    if operation == GETATTR:
        return 0, struct.pack("<QII", 0, 0, 0) + (ROOT if node == 1 else FILE)
    if operation == LOOKUP:
        name = body.rstrip(b"\0")
        if name == b"hang":
            return None
        return (0, struct.pack("<4QII", 2, 0, 0, 0, 0, 0) + FILE) if name == b"a.txt" else (2, b"")
    if operation in (OPEN, OPENDIR):
        return 0, struct.pack("<QII", 0, 0, 0)
    if operation == READ:
        return 0, b"slow\n"
    if operation == STATFS:
        return 0, struct.pack("<5Q10I", 1000, 900, 900, 10, 5, 4096, 255, 4096, *[0] * 7)
    if operation in (RELEASE, RELEASEDIR, FLUSH):
        return 0, b""
    return None if operation in (FORGET, INTERRUPT, BATCH_FORGET) else (38, b"")


def serve():
    while True:
        request = os.read(device, 1 << 20)
        _, operation, unique, node = struct.unpack("<IIQQ", request[:24])
        answered = answer(operation, node, request[40:])
        if answered:
            error, data = answered
            os.write(device, struct.pack("<IiQ", 16 + len(data), -error, unique) + data)


threading.Thread(target=serve, daemon=True).start()
sys.stdin.read()
os._exit(0)
