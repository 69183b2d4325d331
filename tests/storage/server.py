#!/usr/bin/env python3
"""A small HDFS cluster and web server on loopback, which follow the protocols and fail as asked.

    server.py FOLDER     prints three ports, "STANDBY ACTIVE DATA", and serves until standard input is closed

The first two are name nodes (one on standby), the third is a data node and a plain web server (/web/...). Files lie in
FOLDER. A file FOLDER/faults holds what goes wrong, one "WHAT COUNT" a line, counted down as it happens:

    busy     requests to the active name node that get 503
    cut      reads that break off after half of the bytes
    half     writes that keep half of the bytes, and break off without an answer
    lost     writes that are answered well, but keep half of the bytes
    noranges requests to the web server that ignore the range
    simple   renames that know no options, as HttpFS's

A file FOLDER/writes holds how many writes are left before all are lost.
"""
import http.server
import json
import os
import sys
import threading
import urllib.parse

ROOT = sys.argv[1]
LOCK = threading.Lock()


def fault(what):
    with LOCK:
        path = os.path.join(ROOT, "faults")
        if not os.path.exists(path):
            return False
        with open(path) as file:
            faults = dict(line.split() for line in file if line.strip())
        left = int(faults.get(what, 0))
        if left > 0:
            faults[what] = left - 1
            with open(path, "w") as file:
                file.writelines(f"{name} {count}\n" for name, count in faults.items())
        return left > 0


def no_writes_left():
    with LOCK:
        path = os.path.join(ROOT, "writes")
        if not os.path.exists(path):
            return False
        with open(path) as file:
            left = int(file.read())
        with open(path, "w") as file:
            file.write(str(max(left - 1, 0)))
        return left == 0


def note(line):
    with LOCK, open(os.path.join(ROOT, "requests"), "a") as file:
        file.write(line + "\n")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def exception(self, status, name, message):
        self.answer(status, json.dumps({"RemoteException": {"exception": name, "message": message}}).encode())

    def send_cut(self, status, body, headers=()):
        """The head promises more than comes."""
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        self.connection.shutdown(1)
        self.close_connection = True

    def parts(self):
        split = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(split.query))
        return urllib.parse.unquote(split.path), query

    def handle_request(self):
        path, query = self.parts()
        note(f"{self.role} {self.command} {path} {query.get('op', '')} {query.get('user.name', '')}")
        getattr(self, self.role)(path, query)

    do_GET = do_PUT = do_HEAD = do_DELETE = handle_request

    # ---- name nodes

    def standby(self, path, query):
        self.exception(403, "StandbyException", "Operation category READ is not supported in state standby")

    def active(self, path, query):
        if fault("busy"):
            self.answer(503)
            return
        name = path[len("/webhdfs/v1"):]
        local = ROOT + "/hdfs" + name
        operation = query.get("op")
        if operation == "CREATE":
            place = f"http://127.0.0.1:{PORTS[2]}/create{urllib.parse.quote(name)}"
            self.answer(307, headers=[("Location", place)])
        elif operation == "MKDIRS":
            os.makedirs(local, exist_ok=True)
            self.answer(200, b'{"boolean": true}')
        elif operation == "DELETE":
            there = os.path.isfile(local)
            if there:
                os.unlink(local)
            self.answer(200, json.dumps({"boolean": there}).encode())
        elif not os.path.exists(local):
            self.exception(404, "FileNotFoundException", f"File does not exist: {name}")
        elif operation == "GETFILESTATUS":
            self.answer(200, json.dumps({"FileStatus": self.status(local, "")}).encode())
        elif operation == "LISTSTATUS":
            rows = [self.status(os.path.join(local, entry), entry) for entry in os.listdir(local)]
            self.answer(200, json.dumps({"FileStatuses": {"FileStatus": rows}}).encode())
        elif operation == "RENAME":
            target = ROOT + "/hdfs" + query["destination"]
            replaces = query.get("renameoptions") == "OVERWRITE" and not fault("simple")
            free = replaces or not os.path.exists(target)
            if free:
                os.replace(local, target)
            self.answer(200, b"" if replaces else json.dumps({"boolean": free}).encode())
        elif operation == "OPEN":
            place = f"http://127.0.0.1:{PORTS[2]}/open{urllib.parse.quote(name)}"
            place += f"?offset={query.get('offset', 0)}&length={query.get('length', -1)}"
            self.answer(307, headers=[("Location", place)])
        else:
            self.exception(400, "IllegalArgumentException", f"no operation {operation}")

    def status(self, local, name):
        kind = "DIRECTORY" if os.path.isdir(local) else "FILE"
        return {"pathSuffix": name, "type": kind, "length": os.path.getsize(local) if kind == "FILE" else 0}

    # ---- data node and web server

    def data(self, path, query):
        if path.startswith("/web/"):
            self.web(ROOT + path)
        elif path.startswith("/create/"):
            self.create(ROOT + "/hdfs" + path[len("/create"):])
        else:
            with open(ROOT + "/hdfs" + path[len("/open"):], "rb") as file:
                file.seek(int(query["offset"]))
                body = file.read(int(query["length"]))
            if fault("cut"):
                self.send_cut(200, body)
            else:
                self.answer(200, body)

    def create(self, local):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        breaks, loses = fault("half"), fault("lost") or no_writes_left()
        with open(local, "wb") as file:
            file.write(body[: len(body) // 2] if breaks or loses else body)
        if breaks:
            self.close_connection = True
            self.connection.shutdown(2)
        else:
            self.answer(201)

    def web(self, local):
        if not os.path.isfile(local):
            self.answer(404)
            return
        with open(local, "rb") as file:
            body = file.read()
        bounds = self.headers.get("Range")
        if self.command == "HEAD" or not bounds or fault("noranges"):
            self.answer(200, body)
            return
        first, last = bounds[len("bytes="):].split("-")
        part = body[int(first): int(last) + 1]
        headers = [("Content-Range", f"bytes {first}-{last}/{len(body)}")]
        if fault("cut"):
            self.send_cut(206, part, headers)
        else:
            self.answer(206, part, headers)


def serve(role):
    handler = type(role.title(), (Handler,), {"role": role})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


PORTS = [serve(role) for role in ("standby", "active", "data")]
print(*PORTS, flush=True)
sys.stdin.read()
