"""Transfers over one control connection with Python's ftplib.

usage: ftplib_client.py active|passive SERVER PORT SECONDS STEP...
STEP:  list REMOTE LOCAL | download REMOTE LOCAL | upload LOCAL REMOTE
"""

import ftplib
import sys

mode, server, port, seconds, *words = sys.argv[1:]
ftp = ftplib.FTP(timeout=int(seconds))
ftp.set_debuglevel(1)
ftp.connect(server, int(port))
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
