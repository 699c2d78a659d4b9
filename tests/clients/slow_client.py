"""A download with Python's ftplib that takes its time until it may hurry.

usage: slow_client.py active|passive SERVER PORT REMOTE PROGRESS HURRY

Bytes so far are written to the file PROGRESS. Once the file HURRY is there, the
rest is fetched as fast as it comes. Prints the number of bytes and their SHA-256.
"""

import ftplib
import hashlib
import os
import sys
import time

# Bytes a second.
RATE = 1_000_000

mode, server, port, remote, progress, hurry = sys.argv[1:]
ftp = ftplib.FTP(timeout=60)
ftp.connect(server, int(port))
ftp.login()
ftp.set_pasv(mode == "passive")
digest = hashlib.sha256()
count = 0
slow = True
begin = time.monotonic()
file = os.open(progress, os.O_CREAT | os.O_WRONLY, 0o644)


def take(block):
    global count, slow
    digest.update(block)
    count += len(block)
    os.pwrite(file, b"%d\n" % count, 0)
    if slow:
        slow = not os.path.exists(hurry)
        time.sleep(max(0, begin + count / RATE - time.monotonic()) if slow else 0)


ftp.retrbinary("RETR " + remote, take, blocksize=1 << 16)
# The control connection has been silent all the time, and still works.
ftp.voidcmd("NOOP")
ftp.quit()
print(count, digest.hexdigest())
