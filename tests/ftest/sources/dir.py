"""Files in nested folders: expectation rules of the `dir` source."""
import base64
import hashlib
import os
import shutil
import time
from datetime import datetime, timezone

from ftest import data
from ftest.live import Live
from ftest.rules import Within

SERVICE_TYPE = "dir"
BACKEND = None
# Extensions a text can be extracted from; what is no text and has another one is indexed with its metadata only.
KINDS = [".txt", ".md", ".json", ".html", ".csv", ".py", ".pdf", ".docx", ".bin", ".TXT", ".tar.gz", ".log"]
BINARY, EXTRACTED = {".pdf", ".docx", ".bin", ".tar.gz"}, {".pdf", ".docx"}
NAMES = ["note", "größe", "日本", "مذكرة", "🎉 party", "a b", "it's", "x%20y", "[draft]", "UPPER"]


class Source:
    def __init__(self, folder, server, count):
        self.folder, self.began = os.path.join(folder, "files"), time.time()
        self.live = Live("files", count)

    def settings(self):
        return {"directory": self.folder, "pattern": "**/*.*"}, {}

    def path(self, number):
        """Up to four folders deep, some of them hidden."""
        r = data.rng("path", number)
        folders = [f"d{number // 500:04}", *(r.choice(NAMES + [".hidden"]) for _ in range(r.randrange(4)))]
        return os.path.join(self.folder, *folders, f"{r.choice(NAMES)}-{number}{KINDS[number % len(KINDS)]}")

    def content(self, number):
        version = self.live.versions[number]
        r = data.rng("content", number, version)
        kind = KINDS[number % len(KINDS)]
        if kind in BINARY:
            return b"\x00\x01\xff" + r.randbytes(r.randrange(2000)) + bytes([version])
        if number % 97 == 0 and version == 0:
            return b""
        return f"{version}: {' | '.join(data.text(r) for _ in range(r.randrange(1, 20)))}".encode()

    def write(self, numbers):
        for number in numbers:
            path = self.path(number)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(self.content(number))

    def load(self):
        self.write(self.live.versions)
        # None of these is a document.
        os.makedirs(os.path.join(self.folder, "folder.d"))
        os.symlink("nowhere", os.path.join(self.folder, "dangling.txt"))
        os.mkfifo(os.path.join(self.folder, "pipe.fifo"))
        with open(os.path.join(self.folder, "README"), "w") as file:
            file.write("no dot, no match")

    def change(self, share):
        """Deletes, rewrites and adds this share of all files each."""
        gone, changed, new = self.live.change(share)
        for number in gone:
            os.remove(self.path(number))
        self.write([*changed, *new])
        return dict(inserted=len(new), changed=len(changed), deleted=len(gone))

    def change_for_incremental(self, share):
        return self.change(share)

    def see_all(self):
        """Incremental syncs see everything."""
        return dict(inserted=0, changed=0, deleted=0)

    def expected(self):
        paths = ((number, self.path(number)) for number in self.live.versions)
        return {hashlib.md5(path.encode()).hexdigest(): (number, path) for number, path in paths}

    def identify(self, identifier, got):
        """No document is told by anything but its id."""
        return None

    def version(self, row):
        """None: the file says more than its number of changes."""
        return None

    def document(self, row):
        number, path = row
        stat = os.stat(path)
        kind, content = KINDS[number % len(KINDS)], self.content(number)
        fields = {
            "path": path, "size": len(content), "uid": os.getuid(), "gid": stat.st_gid, "inode_number": stat.st_ino,
            "inode_protection_mode": stat.st_mode, "device_inode_reside": stat.st_dev, "number_of_links": 1,
            "last_modified_time": datetime.fromtimestamp(stat.st_mtime, timezone.utc).isoformat(),
            # Reading the file, as a sync does, may change the time of the last access.
            "ctime": stat.st_ctime, "last_access_time": Within((self.began - 1, time.time())),
        }
        if kind not in BINARY:
            fields["body"] = content.decode()
        elif kind in EXTRACTED:
            fields["_attachment"] = base64.b64encode(content).decode()
        return fields

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def versions(self):
        return {}
