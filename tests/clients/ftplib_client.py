"""Transfers over one control connection with Python's ftplib.

usage: ftplib_client.py tcp|multipath active|passive SERVER PORT SECONDS STEP...
STEP:  list REMOTE LOCAL | download REMOTE LOCAL | upload LOCAL REMOTE

With "multipath" the control connection is Multipath TCP (RFC 8684), if the server agrees;
data connections are not.
"""

import ftplib
import socket
import sys


def multipath(address, timeout, source_address=None):
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    # IPPROTO_MPTCP
    stream = socket.socket(family, socket.SOCK_STREAM, 262)
    stream.settimeout(timeout)
    stream.connect(address)
    return stream


protocol, mode, server, port, seconds, *words = sys.argv[1:]
ftp = ftplib.FTP(timeout=int(seconds))
ftp.set_debuglevel(1)
connection = socket.create_connection
if protocol == "multipath":
    socket.create_connection = multipath
ftp.connect(server, int(port))
socket.create_connection = connection
ftp.login()
ftp.set_pasv(mode == "passive")
while words:
    step, source, target, *words = words
    if step == "list":
        with open(target, "w", encoding="latin-1") as listing:
            ftp.retrlines("LIST " + source, lambda line: print(line, file=listing))
    elif step == "download":
        with open(target, "wb") as file:
            ftp.retrbinary("RETR " + source, file.write)
    elif step == "upload":
        with open(source, "rb") as file:
            ftp.storbinary("STOR " + target, file)
    else:
        sys.exit("unknown step: " + step)
ftp.quit()
