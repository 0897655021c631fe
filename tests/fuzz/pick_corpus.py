#!/usr/bin/env python3
"""Picks a small corpus: tests/fuzz/pick_corpus.py PROGRAM INTO FROM... [--files 16] [--bytes 24000]

PROGRAM is a fuzzer (make fuzz builds it), FROM are folders of inputs. Those that together reach most of what libFuzzer counts
(edges, and how often) replace what is in INTO: the one that adds most first, until nothing is added or a limit is reached.
What has a name of its own in INTO was made by hand, and stays; libFuzzer's names are SHA-1 sums.
"""
import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile


def features(program, folders):
    """{path: features it reaches}, from the notes that libFuzzer keeps while it merges."""
    with tempfile.TemporaryDirectory() as work:
        notes = os.path.join(work, "notes")
        os.mkdir(os.path.join(work, "merged"))
        subprocess.run([program, "-set_cover_merge=1", f"-merge_control_file={notes}", os.path.join(work, "merged"), *folders],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        with open(notes, encoding="utf-8") as f:
            lines = f.read().splitlines()
    count = int(lines[0])
    paths = lines[2:2 + count]
    reached = {}
    for line in lines[2 + count:]:
        found = re.match(r"FT (\d+) ?(.*)", line)
        if found:
            reached[paths[int(found.group(1))]] = set(found.group(2).split())
    return reached


def hand_made(folder):
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return [os.path.join(folder, name) for name in sorted(names) if not re.fullmatch(r"[0-9a-f]{40}", name)]


def pick(reached, kept, files, octets):
    chosen, covered = [], set()
    for path in kept:
        covered |= reached.get(path, set())
    files -= len(kept)
    octets -= sum(map(os.path.getsize, kept))
    left = {path: new for path, new in reached.items() if path not in kept and os.path.getsize(path) <= octets}
    while len(chosen) < files and left:
        best = max(left, key=lambda path: (len(left[path] - covered), -os.path.getsize(path), path))
        if not left[best] - covered:
            break
        covered |= left.pop(best)
        octets -= os.path.getsize(best)
        chosen.append(best)
        left = {path: new for path, new in left.items() if os.path.getsize(path) <= octets and new - covered}
    return chosen, covered


def main():
    parser = argparse.ArgumentParser(usage=__doc__.splitlines()[0].split(": ", 1)[1])
    parser.add_argument("--files", type=int, default=16)
    parser.add_argument("--bytes", type=int, default=24000)
    parser.add_argument("program")
    parser.add_argument("into")
    parser.add_argument("sources", nargs="+")
    wanted = parser.parse_args()
    sources = [s for s in wanted.sources if os.path.isdir(s)]
    reached = features(wanted.program, sources)
    kept = hand_made(wanted.into)
    chosen, covered = pick(reached, kept, wanted.files, wanted.bytes)
    contents = []
    for path in chosen:
        with open(path, "rb") as f:
            contents.append(f.read())
    os.makedirs(wanted.into, exist_ok=True)
    for name in os.listdir(wanted.into):
        if os.path.join(wanted.into, name) not in kept:
            os.remove(os.path.join(wanted.into, name))
    for octets in contents:
        with open(os.path.join(wanted.into, hashlib.sha1(octets).hexdigest()), "wb") as f:
            f.write(octets)
    total = len(set().union(*reached.values())) if reached else 0
    print(f"{wanted.into}: {len(kept)} made by hand and {len(chosen)} of {len(reached)} inputs, "
          f"{len(covered)} of {total} features")
    return 0 if kept or chosen else 1


if __name__ == "__main__":
    sys.exit(main())
