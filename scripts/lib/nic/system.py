"""The host as scripts/nic sees it: files below a root, and a few commands. Tests play another one."""
import glob
import json
import os
import subprocess


class Problem(Exception):
    """One sentence: what, where, and what to do about it."""


class System:
    def __init__(self, root="/"):
        self.root = root

    def path(self, path):
        return os.path.join(self.root, path.lstrip("/"))

    def exists(self, path):
        return os.path.exists(self.path(path))

    def read(self, path, default=None):
        """The file's text without white space around it; `default` when there is no such file, or it cannot be read."""
        try:
            with open(self.path(path), errors="replace") as f:
                return f.read().strip()
        except OSError:
            return default

    def write(self, path, text):
        try:
            # Not created: a file of sysfs that is not there is an attribute this kernel does not have.
            with open(os.open(self.path(path), os.O_WRONLY | os.O_TRUNC), "w") as f:
                f.write(text)
        except OSError as e:
            raise Problem(f"cannot write '{text.strip()}' to {path}: {e.strerror}") from None

    def target(self, path):
        """What a symbolic link says, or None."""
        try:
            return os.readlink(self.path(path))
        except OSError:
            return None

    def link(self, path):
        """The last component of what a symbolic link says, or None."""
        return os.path.basename(self.target(path) or "") or None

    def names(self, path):
        try:
            return sorted(os.listdir(self.path(path)))
        except OSError:
            return []

    def find(self, pattern):
        """Paths, as seen from the root, that match."""
        root = self.path("")
        return sorted("/" + os.path.relpath(found, root) for found in glob.glob(self.path(pattern)))

    def run(self, *command):
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        except OSError as e:
            raise Problem(f"{command[0]} cannot be run: {e.strerror}") from None
        if done.returncode != 0:
            raise Problem(f"'{' '.join(command)}' failed: {' '.join(done.stderr.split()) or done.returncode}")
        return done.stdout

    def ip(self, *arguments):
        """What `ip -j ...` says, as objects."""
        return json.loads(self.run("ip", "-j", *arguments) or "[]")

    def variable(self, name):
        return os.environ.get(name)

    def is_root(self):
        return os.geteuid() == 0

    def kernel(self):
        """(major, minor)"""
        numbers = os.uname().release.split("-")[0].split(".")
        return int(numbers[0]), int(numbers[1])

    # ---- state that undoing needs ----

    STATE = "/run/harewire-nic"

    def save(self, name, state):
        """On disk before anything is changed: what comes after may be interrupted at any point."""
        os.makedirs(self.path(self.STATE), mode=0o700, exist_ok=True)
        path = self.path(f"{self.STATE}/{name}.json")
        with open(path + ".new", "w") as f:
            json.dump(state, f, indent=1)
            f.flush()
            os.fsync(f.fileno())
        os.replace(path + ".new", path)

    def saved(self, name):
        text = self.read(f"{self.STATE}/{name}.json")
        return json.loads(text) if text else None

    def saved_names(self):
        return [name[:-len(".json")] for name in self.names(self.STATE) if name.endswith(".json")]

    def forget(self, name):
        for remove, path in ((os.unlink, f"{self.STATE}/{name}.json"), (os.rmdir, self.STATE)):
            try:
                remove(self.path(path))
            except OSError:
                pass  # nothing was saved; another device's state is there
