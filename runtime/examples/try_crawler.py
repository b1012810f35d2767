#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""try_crawler.py PROGRAM: weft_crawler against a site of a process's own, which counts what is in progress."""
import http.server
import subprocess
import sys
import threading

LINKS = ['<a href="http://elsewhere.example/">no</a>', '<a href="missing">', '<a href="/silent">', '<a href="#top">',
         '<a href="mailto:a@example.org">'] + [f'<a href="/list/{i}#part">' for i in range(30)]


class Site(http.server.BaseHTTPRequestHandler):
    lock, over = threading.Lock(), threading.Event()
    now = most = 0
    asked = []

    def do_GET(self):
        with Site.lock:
            Site.asked.append(self.path)
            Site.now += self.path != "/silent"  # the crawler leaves that one, and goes on
            Site.most = max(Site.most, Site.now)
        Site.over.wait(250 if self.path == "/silent" else 0.05)
        known = self.path == "/" or self.path.startswith("/list/")
        with Site.lock:
            Site.now -= self.path != "/silent"
        self.send_response(200 if known else 404)
        self.end_headers()
        links = LINKS + [f'<a href="http://127.0.0.1:{self.server.server_port}/">'] if self.path == "/" else \
            [f'<a href="{self.path.rsplit("/", 1)[1]}x">' for _ in range(2)]
        self.wfile.write("".join(links).encode())

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # the crawler hung up: it does on a page that takes too long


def crawl(port, pages, at_once, last_line):
    """With as much time for a page as this machine needs to bring all but the silent one."""
    for page_ms in (400, 2000, 10000, 50000):
        Site.asked, Site.now, Site.most = [], 0, 0
        result = subprocess.run([*sys.argv[1:], f"http://127.0.0.1:{port}/", str(pages), str(at_once), str(page_ms)],
                                capture_output=True, text=True, timeout=250)
        print(result.stdout[-400:], result.stderr)
        if result.stdout.endswith(last_line):
            break
    return result


with Server(("127.0.0.1", 0), Site) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        result = crawl(server.server_port, 60, 5, "60 pages, 2 failed\n")
        assert result.returncode == 0, result.returncode
        assert result.stdout.endswith("60 pages, 2 failed\n"), "the missing one and the silent one"
        assert "404 /missing\n" in result.stdout and "200 /list/29\n" in result.stdout
        assert "/silent: " in result.stdout, "a page has its time"
        assert len(Site.asked) == len(set(Site.asked)) == 60, "each page once"
        assert 2 <= Site.most <= 5, f"{Site.most} at once"

        result = crawl(server.server_port, 3, 2, "3 pages, 2 failed\n")
        assert result.stdout.endswith("3 pages, 2 failed\n"), "/ and the first two, and no more"
    finally:
        Site.over.set()
        server.shutdown()
