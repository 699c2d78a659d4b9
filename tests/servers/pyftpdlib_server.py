"""An FTP server of pyftpdlib's that writes down every line it receives and sends.

usage: pyftpdlib_server.py tcp|multipath ADDRESS PORT ROOT COMMAND_LOG REPLY_LOG

With "multipath" the control connections are Multipath TCP (RFC 8684), where clients
ask for it; data connections are not.
"""

import socket
import sys
import warnings

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

protocol, address, port, root, command_log, reply_log = sys.argv[1:]
received = open(command_log, "a", buffering=1, encoding="latin-1")
sent = open(reply_log, "a", buffering=1, encoding="latin-1")


class Handler(FTPHandler):
    def pre_process_command(self, line, cmd, arg):
        received.write(line + "\n")
        super().pre_process_command(line, cmd, arg)

    def push(self, text):
        sent.write(text.replace("\r\n", "\n"))
        super().push(text)


# A warning that anonymous users may write: that is what this server is for.
warnings.filterwarnings("ignore", category=RuntimeWarning)
Handler.authorizer = DummyAuthorizer()
Handler.authorizer.add_anonymous(root, perm="elradfmwMT")
listener = (address, int(port))
if protocol == "multipath":
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # IPPROTO_MPTCP
    listener = socket.socket(family, socket.SOCK_STREAM, 262)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, int(port)))
FTPServer(listener, Handler).serve_forever()
