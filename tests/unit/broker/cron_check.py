#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares cron_next with an implementation that shares nothing with it but the sentences of
docs/adr/0011-recurring-jobs.md: Python's zoneinfo and a walk over wall-clock times.

    cron_check.py CRON_ANSWERS [--count N] [--seed S]

Draws expressions and instants, two thirds of them close to a change of the zone's clock, and asks both.
"""
import argparse
import bisect
import datetime
import functools
import random
import subprocess
import sys
import zoneinfo

UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1)
DAY = datetime.timedelta(days=1)
WEEKS_S = 28 * 86400
CLOCK_JUMP_MAX = datetime.timedelta(hours=25)  # over the date line and back
DAYS_LOOKED_AT = 2 * 366  # behind it the next instant is not compared
YEARS = range(1880, 2101)
# With whole hours, half ones, minutes and seconds; both hemispheres; changes of the date line; no changes; summer time that
# is the earlier one; changes at midnight; and what is in the file or only in its footer.
ZONES = """UTC Europe/Berlin Europe/London Europe/Dublin Europe/Lisbon Europe/Moscow Europe/Istanbul Atlantic/Azores
    America/New_York America/St_Johns America/Sao_Paulo America/Santiago America/Havana America/Caracas America/Sitka
    America/Nuuk America/Asuncion Africa/Casablanca Africa/Cairo Africa/Monrovia Africa/El_Aaiun Asia/Kolkata
    Asia/Kathmandu Asia/Tehran Asia/Gaza Asia/Pyongyang Asia/Manila Asia/Singapore Asia/Beirut Australia/Lord_Howe
    Australia/Sydney Australia/Eucla Pacific/Apia Pacific/Kwajalein Pacific/Kiritimati Pacific/Chatham
    Pacific/Marquesas Antarctica/Troll Antarctica/Casey Etc/GMT+12 Etc/GMT-14""".split()


# ---- expressions: drawn with their meaning ----

def draw_field(rng, low, high, star):
    """A text, the set of its values, and whether it is a wildcard."""
    if rng.random() < star:
        if rng.random() < 0.6:
            return "*", set(range(low, high + 1)), True
        step = rng.randint(1, min(high - low, 15))
        return f"*/{step}", set(range(low, high + 1, step)), True
    items, values = [], set()
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        first = rng.randint(low, high)
        last = rng.randint(first, high)
        step = rng.randint(1, 7 if high > 7 else 3)
        kind = rng.randrange(4)
        if kind < 2:
            items.append(str(first))
            values.add(first)
        elif kind == 2:
            items.append(f"{first}-{last}")
            values.update(range(first, last + 1))
        else:
            step = min(step, high - low)
            items.append(f"{first}-{last}/{step}")
            values.update(range(first, last + 1, step))
    return ",".join(items), values, False


def draw_expression(rng, close_to):
    """`close_to`: hours of the clock that are to be met more often than others."""
    minute = draw_field(rng, 0, 59, 0.3)
    hour = draw_field(rng, 0, 23, 0.35)
    star = 0.8
    if close_to and rng.random() < 0.7:
        values = set(rng.sample(close_to, rng.randint(1, len(close_to))))
        hour = (",".join(map(str, sorted(values))), values, False)
        star = 0.95
    day = draw_field(rng, 1, 31, star)
    month = draw_field(rng, 1, 12, star)
    weekday = draw_field(rng, 0, 7, star)
    fields = [minute, hour, day, month, weekday]
    return " ".join(field[0] for field in fields), fields


def fits_day(fields, date):
    _, _, (_, days, any_day), (_, months, _), (_, weekdays, any_weekday) = fields
    if date.month not in months:
        return False
    by_month = date.day in days
    by_week = date.isoweekday() % 7 in {w % 7 for w in weekdays}
    return by_month and by_week if any_day or any_weekday else by_month or by_week


def wall_times(fields, begin):
    """The wall-clock times of the expression from `begin` on."""
    minutes, hours = sorted(fields[0][1]), sorted(fields[1][1])
    day = begin.replace(hour=0, minute=0, second=0, microsecond=0)
    for _ in range(DAYS_LOOKED_AT):
        if fits_day(fields, day.date()):
            for hour in hours:
                for minute in minutes:
                    wall = day.replace(hour=hour, minute=minute)
                    if wall >= begin:
                        yield wall
        day += DAY


# ---- zones: what zoneinfo says ----

def shown(zone, seconds):
    """What the zone's clock shows, and its offset."""
    aware = (EPOCH + datetime.timedelta(seconds=seconds)).replace(tzinfo=UTC).astimezone(zone)
    return aware.replace(tzinfo=None, fold=0), aware.utcoffset()


def seconds_of(naive):
    delta = naive - EPOCH
    return delta.days * 86400 + delta.seconds


def offset(zone, wall, fold):
    return wall.replace(tzinfo=zone, fold=fold).utcoffset()


def instants(zone, wall):
    """When the zone's clock shows `wall`: never, once, or twice."""
    found = {seconds_of(wall - offset(zone, wall, fold)) for fold in (0, 1)}
    return sorted(s for s in found if shown(zone, s)[0] == wall)


def first_at_or_after(zone, wall):
    """The first instant at which the clock shows `wall` or later; of one that is skipped the end of the gap."""
    found = instants(zone, wall)
    if found:
        return found[0]
    low, high = sorted(seconds_of(wall - offset(zone, wall, fold)) for fold in (0, 1))
    return bisect.bisect_left(range(low, high + 1), True, key=lambda s: shown(zone, s)[0] >= wall) + low


def next_instant(zone, fields, after_us):
    """By the definition: all instants of the wall-clock times around, and of those behind `after_us` the least."""
    after_s = after_us // 1000000
    begin = shown(zone, after_s)[0] - CLOCK_JUMP_MAX
    real_time = fields[0][2] or fields[1][2]
    best, enough = None, None
    for wall in wall_times(fields, begin):
        if enough is not None and wall > enough:
            break
        for at in instants(zone, wall) if real_time else [first_at_or_after(zone, wall)]:
            if at > after_s and (best is None or at < best):
                best = at
                enough = wall + CLOCK_JUMP_MAX if enough is None else enough
    return None if best is None else best * 1000000


# ---- instants ----

@functools.lru_cache(maxsize=None)
def changes(name):
    """The ends of those four weeks that end with another offset than they began with."""
    zone, found = zoneinfo.ZoneInfo(name), []
    begin = seconds_of(datetime.datetime(YEARS[0], 1, 1))
    end = seconds_of(datetime.datetime(YEARS[-1], 1, 1))
    last = shown(zone, begin)[1]
    for at in range(begin, end, WEEKS_S):
        now = shown(zone, at)[1]
        if now != last:
            found.append(at)
        last = now
    return found


def draw_instant(rng, name):
    """An instant, and the hours of the clock around it if it lies close to a change."""
    close_to = changes(name)
    if close_to and rng.random() < 0.7:
        end = rng.choice(close_to)
        zone = zoneinfo.ZoneInfo(name)
        after = shown(zone, end)[1]
        weeks = range(end - WEEKS_S, end)
        at = weeks[0] + bisect.bisect_left(weeks, True, key=lambda s: shown(zone, s)[1] == after)
        hours = sorted({shown(zone, at + s)[0].hour for s in (-3600, -1, 0, 3600)})
        return (at + rng.randint(-7200, 7200)) * 1000000 + rng.choice((0, 0, 1, 999999)), hours
    begin = seconds_of(datetime.datetime(YEARS[0], 1, 1))
    end = seconds_of(datetime.datetime(YEARS[-1], 1, 1))
    return rng.randint(begin * 1000000, end * 1000000), []


def say(us):
    return "none" if us is None else str(EPOCH + datetime.timedelta(microseconds=us)) + " UTC"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("answers")
    parser.add_argument("--count", type=int, default=20, help="questions for each zone")
    parser.add_argument("--seed", type=int, default=11)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    cases = []
    for name in ZONES:
        for _ in range(args.count):
            after, close_to = draw_instant(rng, name)
            text, fields = draw_expression(rng, close_to)
            cases.append((name, after, text, fields))
    lines = "".join(f"{name}\t{after}\t{text}\n" for name, after, text, _ in cases)
    result = subprocess.run([args.answers], input=lines, capture_output=True, text=True, check=True)
    answers = result.stdout.splitlines()
    assert len(answers) == len(cases), result.stderr
    wrong = compared = 0
    for (name, after, text, fields), answer in zip(cases, answers):
        if answer.startswith("refused: ") and "never comes" in answer:
            continue
        wanted = next_instant(zoneinfo.ZoneInfo(name), fields, after)
        if wanted is None:  # rarer than what is looked at
            continue
        compared += 1
        if answer != str(wanted):
            wrong += 1
            got = say(int(answer)) if answer.lstrip("-").isdigit() else answer
            print(f"'{text}' in {name} after {say(after)}: {got}, not {say(wanted)}")
    print(f"{compared} of {len(cases)} compared, {wrong} differ")
    return 1 if wrong or compared < len(cases) * 8 // 10 else 0


if __name__ == "__main__":
    sys.exit(main())
