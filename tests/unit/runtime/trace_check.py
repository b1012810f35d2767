#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks a recording of weft as a whole, and prints what it holds, a fact a line, for test_trace.c."""
import collections
import json
import sys


def check_nesting(slices):
    """On one track a slice lies inside another or beside it."""
    open_until = []
    for event in sorted(slices, key=lambda e: (ns(e["ts"]), -ns(e["dur"]))):
        begin, end = ns(event["ts"]), ns(event["ts"]) + ns(event["dur"])
        while open_until and open_until[-1] <= begin:
            open_until.pop()
        assert not open_until or end <= open_until[-1], f"slices overlap: {event}"
        open_until.append(end)


def ns(us):
    return round(us * 1000)


def main(path):
    with open(path, encoding="utf-8") as file:
        recording = json.load(file)
    events = recording["traceEvents"]
    facts = collections.Counter()
    tracks = collections.defaultdict(list)
    running, running_max = {}, collections.Counter()
    arrows, lives = collections.defaultdict(list), collections.defaultdict(list)
    named, numbers = set(), collections.defaultdict(str)
    for event in events:
        phase, name = event["ph"], event["name"]
        if phase == "M":
            named.add(event["tid"])
            continue
        assert event["ts"] >= 0, event
        assert event["tid"] == 0 or event["tid"] in named, event
        if phase == "X":
            assert event["dur"] >= 0, event
            tracks[event["tid"]].append(event)
            facts[f"{event['cat']} {name}"] += 1
            if event["cat"] == "turn":
                args = event["args"]
                assert args["coroutine"] > 0, event
                facts[f"on {args['dispatcher']}: {name}"] += 1
                facts[f"then {args['then']}: {name}"] += 1
        elif phase == "C":
            running[name] = event["args"]["running"]
            running_max[name] = max(running_max[name], running[name])
        elif phase in "sf":
            arrows[event["args"]["coroutine"]].append((ns(event["ts"]), phase))
            numbers[event["id"]] += phase
        elif phase in "be":
            lives[event["id"]].append(phase)
            facts[f"life {phase} {name}"] += 1
        else:
            assert phase == "i", event
            facts[f"mark {name}"] += 1
    for slices in tracks.values():
        check_nesting(slices)
    lost = recording["otherData"]["overwritten"]
    if lost == 0:
        # Perfetto takes all that bears the same number as one arrow, and begins it where the first began.
        for phases in numbers.values():
            assert phases in ("s", "sf"), phases
        for phases in lives.values():
            assert phases in (["b"], ["e"], ["b", "e"]), phases
        for steps in arrows.values():
            order = "".join(phase for _, phase in steps)
            assert "ss" not in order, f"woken twice for one turn: {order}"
    assert all(count == 0 for count in running.values()), running
    facts["overwritten"] = lost
    facts["tracks"] = len(tracks)
    facts["arrows"] = sum(phase == "f" for steps in arrows.values() for _, phase in steps)
    for name, count in running_max.items():
        facts[f"most {name}"] = count
    for fact, count in sorted(facts.items()):
        print(f"{fact} = {count}")


main(sys.argv[1])
