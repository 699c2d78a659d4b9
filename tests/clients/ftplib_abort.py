"""A transfer in active mode that is aborted, between two that are not.

usage: ftplib_abort.py SERVER PORT SECONDS LARGE SMALL BEFORE AFTER
"""

import ftplib
import sys

server, port, seconds, large, small, before, after = sys.argv[1:]
ftp = ftplib.FTP(timeout=int(seconds))
ftp.set_debuglevel(1)
ftp.connect(server, int(port))
ftp.login()
ftp.set_pasv(False)
with open(before, "wb") as file:
    ftp.retrbinary("RETR " + small, file.write)
data = ftp.transfercmd("RETR " + large)
data.recv(1000)
# "ABOR" as urgent data; returns the reply to what is aborted.
print("aborted:", ftp.abort())
data.close()
print("abort:", ftp.voidresp())
with open(after, "wb") as file:
    ftp.retrbinary("RETR " + small, file.write)
ftp.quit()
