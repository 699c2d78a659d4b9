"""An FTP server of pyftpdlib's that writes down every line it receives.

usage: pyftpdlib_server.py ROOT COMMAND_LOG
"""

import sys
import warnings

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

root, command_log = sys.argv[1:]
received = open(command_log, "a", buffering=1, encoding="latin-1")


class Handler(FTPHandler):
    def pre_process_command(self, line, cmd, arg):
        received.write(line + "\n")
        super().pre_process_command(line, cmd, arg)


# A warning that anonymous users may write: that is what this server is for.
warnings.filterwarnings("ignore", category=RuntimeWarning)
Handler.authorizer = DummyAuthorizer()
Handler.authorizer.add_anonymous(root, perm="elradfmwMT")
FTPServer(("0.0.0.0", 21), Handler).serve_forever()
