"""A TCP proxy that counts."""
import socket
import threading
import time


class Counting(threading.Thread):
    """Passes connections on to a port; `sent` and `received` are bytes to and from the server, `first` is when the first came."""

    def __init__(self, target):
        super().__init__(daemon=True)
        self.target, self.lock = target, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.reset()
        self.start()

    def reset(self):
        self.sent, self.received, self.first = 0, 0, None

    def run(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.target))
            for source, target, back in ((client, server, False), (server, client, True)):
                # A driver's small requests must not wait for each other here.
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.copy, args=(source, target, back), daemon=True).start()

    def copy(self, source, target, back):
        try:
            while data := source.recv(1 << 18):
                with self.lock:
                    self.first = self.first or time.time()
                    if back:
                        self.received += len(data)
                    else:
                        self.sent += len(data)
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
