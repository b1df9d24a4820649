"""A small web server on this machine that serves one file, with the faults that a test asks for, in order."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """What is served and what was asked.

    Attributes:
      url: base address.
      body: the file.
      faults: what the next answers do, one a request, then none: an int is a status; `cut:N` closes the connection
        after N bytes; `short:N` serves the first N bytes as if they were all; `wrong` serves other bytes; `whole`
        ignores the range.
      requests: (path, Range header or None, Accept-Encoding header) of each request.
      headers: added to answers that are an error.
    """

    def __init__(self, body):
        self.body = body
        self.faults = []
        self.requests = []
        self.headers = {}
        self.url = ""


class QuietServer(ThreadingHTTPServer):
    """A server that does not write a traceback when a client that is killed hangs up."""

    def handle_error(self, request, client_address):
        pass


@contextmanager
def serve(body):
    """Serve `body` under any path; the handler never compresses."""
    state = Server(body)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            span = self.headers.get("Range")
            state.requests.append((self.path, span, self.headers.get("Accept-Encoding")))
            fault = state.faults.pop(0) if state.faults else ""
            if isinstance(fault, int):
                return self.fail(fault)
            kind, _, amount = fault.partition(":")
            body = state.body
            if kind == "short":
                body = body[: int(amount)]
            if kind == "wrong":
                body = bytes(reversed(body))
            start = int(span.removeprefix("bytes=").rstrip("-")) if span and kind != "whole" else 0
            if start >= len(body):
                return self.fail(416)
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            if kind == "cut":
                self.wfile.write(body[start : start + int(amount)])
                self.wfile.flush()
                self.close_connection = True
                return None
            self.wfile.write(body[start:])
            return None

        def fail(self, status):
            self.send_response(status)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"error")

        def log_message(self, *arguments):
            pass

    server = QuietServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
