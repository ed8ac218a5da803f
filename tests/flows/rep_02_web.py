"""A web server that keeps what is posted to it: FOLDER ADDRESS PORT CERTIFICATE KEY."""

import http.server
import ssl
import sys
from pathlib import Path

folder, address, port, certificate, key = sys.argv[1:]


class Keeper(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Path(folder, "body").write_bytes(body)
        Path(folder, "request").write_text(f"{self.path}\n{self.headers}")
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()


server = http.server.HTTPServer((address, int(port)), Keeper)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
