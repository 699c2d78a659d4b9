"""An FTP server of pyftpdlib's that writes down every line it receives and sends.

usage: pyftpdlib_server.py ADDRESS PORT ROOT COMMAND_LOG REPLY_LOG
"""

import sys
import warnings

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

address, port, root, command_log, reply_log = sys.argv[1:]
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
FTPServer((address, int(port)), Handler).serve_forever()
