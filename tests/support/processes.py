"""Processes: start them, and read from /proc what they cost."""
import os
import socket
import subprocess
import threading
import time

TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def cpu_of_family(pid):
    """Of a process and its children, also of those that have ended."""
    total = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                fields = file.read().rsplit(") ", 1)[1].split()
        except OSError:
            continue
        if int(name) == pid:
            total += sum(map(int, fields[11:15]))
        elif int(fields[1]) == pid:
            total += sum(map(int, fields[11:13]))
    return total / TICK


def rss_of(pid, peak=False):
    """MiB."""
    name = "VmHWM" if peak else "VmRSS"
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith(name):
                return int(line.split()[1]) / 1024
    return 0.0


def files_of(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Watch(threading.Thread):
    """Peak memory (MiB) and open files of a process while it lives. The kernel's own ru_maxrss will not do: it begins with
    the memory of the program that started the process."""

    interval = 0.01

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.files, self.rss, self.over = pid, 0, 0.0, False
        self.start()

    def look(self):
        self.files = max(self.files, files_of(self.pid))
        self.rss = max(self.rss, rss_of(self.pid, peak=True))

    def run(self):
        while not self.over:
            try:
                self.look()
            except (OSError, IndexError):
                return
            time.sleep(self.interval)


def measured(command, watch=Watch, **options):
    """Runs a command to its end: wall s, CPU s, peak RSS MiB, peak open files, standard output."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, **options)
    watch = watch(process.pid)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    watch.over = True
    wall = time.monotonic() - began
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit {process.returncode}\n{output.decode()[-2000:]}")
    return dict(wall=wall, cpu=usage.ru_utime + usage.ru_stime, rss=watch.rss, files=watch.files, output=output)
