"""Requests through instances, one step after another: plain, slow, and written on its own.

A heap holds what is to come; an instance holds lists. Every decode step is an event of its own.
"""

import heapq
import math
from dataclasses import dataclass, field

MIXED, PREFILL, DECODE = 0, 1, 2
ARRIVAL, RETRY, PATIENCE, CACHE, STEP = 0, 1, 2, 4, 5


@dataclass
class Request:
    """One attempt."""

    number: int
    origin: int
    arrival: float
    isl: int
    osl: int
    left: int
    tries: int = 0
    size: int = 0
    need: int = 0
    rest: int = 0
    past: int = 0
    blocks: int = 0
    scheduled: float = math.inf
    first: float = math.inf
    sent: float = math.inf
    joined: float = math.inf
    finished: float = math.inf
    prefiller: int = -1
    decoder: int = -1
    preempted: int = 0
    hit: int = 0
    status: str = "coming"


@dataclass
class Sequence:
    """A decoding request: its context now, and the steps it still takes."""

    request: Request
    context: float
    left: int
    stamp: int
    reserved: int


@dataclass
class Instance:
    """One server."""

    number: int
    role: int
    open: bool = True
    ready: float = 0.0
    queue: list = field(default_factory=list)
    passes: list = field(default_factory=list)
    decoding: list = field(default_factory=list)
    sending: list = field(default_factory=list)
    busy: bool = False
    version: int = 0
    decodes: bool = False
    extra: float = 0.0
    held: int = 0
    assigned: int = 0
    work: int = 0
    stamp: int = 0
    link_out: float = 0.0
    link_in: float = 0.0
    lru: dict = field(default_factory=dict)  # HBM and host blocks, oldest first
    hbm: dict = field(default_factory=dict)
    users: dict = field(default_factory=dict)  # blocks that running requests use: how many do
    sizes: dict = field(default_factory=dict)  # what of the engine's memory each of these takes
    prefill_busy: float = 0.0
    decode_busy: float = 0.0


class Plain:
    """The simulation; `law`, `links`, `client` are the records of the package as numbers."""

    def __init__(self, requests, roles, law, links, client, route="least_loaded", cached=False):
        self.law, self.links, self.client, self.route = law, links, client, route
        self.cached, self.blocks = cached, requests.blocks
        gain = float(law.gain[0])
        self.gain = gain
        self.requests = [
            Request(i, i, float(a), int(n), int(o), math.ceil((int(o) - 1) / gain))
            for i, (a, n, o) in enumerate(
                zip(requests.arrival_s, requests.isl, requests.osl, strict=True)
            )
        ]
        for one in self.requests:
            one.size = one.need = one.rest = one.isl
        self.instances = [Instance(i, int(role)) for i, role in enumerate(roles)]
        self.heap, self.order = [], 0
        self.turn = self.served = 0
        users = requests.closed_users or len(self.requests)
        self.closed, self.following = bool(requests.closed_users), users
        for one in self.requests[:users]:
            self.push(one.arrival, ARRIVAL, one.number, one.number)

    def push(self, time, kind, rank, what):
        self.order += 1
        heapq.heappush(self.heap, (time, kind, rank, self.order, what))

    def run(self):
        while self.heap:
            self.now, kind, _, _, what = heapq.heappop(self.heap)
            if kind in (ARRIVAL, RETRY):
                self.arrive(self.requests[what])
            elif kind == PATIENCE:
                self.give_up(self.requests[what])
            elif kind == CACHE:
                self.received(self.instances[what])
            else:
                number, version = what
                if self.instances[number].version == version:
                    self.step_ends(self.instances[number])
        return self

    # ---- arrivals ----

    def number(self, name, role):
        return float(getattr(self.law, name)[role])

    def arrive(self, one):
        if math.isfinite(float(self.client.patience_s)):
            self.push(one.arrival + float(self.client.patience_s), PATIENCE, one.number, one.number)
        room = min(
            self.number("blocks", i.role) * self.number("block_tokens", i.role)
            - self.number("block_tokens", i.role)
            for i in self.instances
        )
        if one.isl + one.osl + 1 > room:
            one.status, one.finished = "refused", self.now
            return
        able = [i for i in self.instances if i.role != DECODE and i.open]
        if self.route == "round_robin":
            count = len(self.instances)
            target = min(able, key=lambda i: (i.number - self.turn) % count)
        elif self.route == "kv_aware":
            target = min(able, key=lambda i: (self.cost(one, i), i.number))
        else:
            target = min(able, key=lambda i: (i.assigned, i.number))
        self.turn = (target.number + 1) % len(self.instances)
        target.assigned += 1
        target.work += one.need
        one.prefiller = target.number
        target.queue.append(one)
        self.wake(target)

    def cost(self, one, instance):
        own = one.isl - (self.hits(one, instance)[1] if self.cached else 0)
        context = sum(s.context for s in instance.decoding)
        return float(self.client.overlap_weight) * (own + instance.work) + context

    def give_up(self, one):
        if one.first < math.inf or one.status != "coming":
            return
        one.status, one.finished = "given up", self.now
        if one.tries < int(self.client.retries):
            again = Request(
                len(self.requests), one.origin, self.now + float(self.client.backoff_s),
                one.isl, one.osl, math.ceil((one.osl - 1) / self.gain), one.tries + 1,
            )  # fmt: skip
            again.size = again.need = again.rest = again.isl
            self.requests.append(again)
            self.push(again.arrival, RETRY, again.number, again.number)

    def wake(self, instance):
        if not instance.busy:
            instance.busy = True
            self.schedule(instance, self.now)

    def schedule(self, instance, time):
        instance.version += 1
        self.push(time, STEP, instance.number, (instance.number, instance.version))

    # ---- one step ----

    def step_ends(self, instance):
        if instance.decodes:
            for s in instance.decoding:
                s.context += self.gain
                s.left -= 1
            instance.decodes = False
        kept = []
        for one in instance.passes:
            if one.rest == 0:
                self.passed(instance, one)
            else:
                kept.append(one)
        instance.passes = kept
        ended = sorted(
            (s for s in instance.decoding if s.left <= 0), key=lambda s: instance.decoding.index(s)
        )
        for s in ended:
            instance.decoding.remove(s)
            self.finish(s.request, instance, self.now)
        self.form(instance)

    def passed(self, instance, one):
        time = self.now + instance.extra
        if one.status == "given up":
            instance.assigned -= 1
            self.leave(one, instance)
            return
        one.first = min(one.first, time)
        if one.left <= 0:
            self.finish(one, instance, time)
        elif instance.role == PREFILL:
            instance.assigned -= 1
            instance.held += one.blocks
            self.send(instance, one, time)
        else:
            self.decode(instance, one)

    def decode(self, instance, one):
        one.joined = min(one.joined, self.now)
        instance.decoding.append(
            Sequence(one, float(one.size), one.left, instance.stamp, one.blocks)
        )
        instance.stamp += 1

    def finish(self, one, instance, time):
        one.finished, one.status = time, "served"
        instance.assigned -= 1
        self.leave(one, instance)
        if self.closed and self.following < len(self.requests):
            following = self.requests[self.following]
            following.arrival = time + float(self.client.think_s)
            self.push(following.arrival, ARRIVAL, following.number, following.number)
            self.following += 1

    def block_count(self, role, tokens):
        return math.ceil(tokens / self.number("block_tokens", role) - 1e-9)

    def form(self, instance):
        role = instance.role
        reserves = self.number("reserves", role) > 0.5

        def held(s):
            own = self.block_count(role, s.context + self.gain)
            return max(own, s.reserved) if reserves else own

        def free():
            return (
                int(self.number("blocks", role))
                - sum(one.blocks for one in instance.passes)
                - instance.held
                - sum(held(s) for s in instance.decoding)
                + sum((n - 1) * instance.sizes[block] for block, n in instance.users.items())
            )

        short = False
        while free() < 0 and instance.decoding:
            short = True
            latest = max(instance.decoding, key=lambda s: s.stamp)
            instance.decoding.remove(latest)
            one = latest.request
            self.leave(one, instance)
            one.size = one.need = one.rest = math.ceil(latest.context - 1e-9) + 1
            one.past, one.left = 0, latest.left - 1
            one.preempted += 1
            instance.work += one.need
            instance.queue.insert(0, one)
        budget = int(self.number("budget", role)) - len(instance.decoding)
        chunk = int(self.number("chunk", role))
        given, load = [], 0.0

        def grant(one):
            nonlocal budget
            size = min(one.rest, chunk, budget)
            given.append((size, size * (one.past + 0.5 * size)))
            one.rest -= size
            one.past += size
            budget -= size

        for one in instance.passes:
            if budget > 0:
                grant(one)
        while instance.queue:
            one = instance.queue[0]
            if one.status == "given up":
                instance.queue.pop(0)
                instance.work -= one.need
                instance.assigned -= 1
                continue
            tokens = one.size + (self.gain if one.need == 0 else 0)
            if reserves:
                tokens = one.size + self.gain * one.left
            blocks = self.block_count(role, tokens)
            shared = 0
            if self.cached and one.need > 0 and role != DECODE:
                held_now = [b for b in self.ids(one) if b in instance.users]
                shared = sum(instance.sizes[b] for b in held_now)
            running = len(instance.decoding) + len(instance.passes)
            room = free()
            if (
                short
                or running >= int(self.number("sequences", role))
                or budget <= 0
                or blocks - shared > room
            ):
                break
            instance.queue.pop(0)
            instance.work -= one.need
            one.blocks = blocks
            if one.need == 0:
                self.decode(instance, one)
                budget -= 1
                continue
            one.scheduled = min(one.scheduled, self.now)
            if self.cached and role != DECODE:
                self.fit(instance, room)
                hbm, both = self.hits(one, instance)
                one.past = both
                one.hit = one.hit if one.preempted else both
                one.rest = one.need - both
                load += (both - hbm) * float(self.client.load_token_s)
                self.begin(one, instance)
                self.fit(instance, room - blocks + shared)
            instance.passes.append(one)
            grant(one)
        self.start(instance, given, load)

    def start(self, instance, given, load):
        role, count = instance.role, len(instance.decoding)
        tokens = sum(size for size, _ in given)
        mixes = self.number("mixes", role) > 0.5
        if not tokens and not count:
            instance.busy = False
            return
        duration = 0.0
        if tokens:
            ranks, stretch = self.number("ranks", role), self.number("stretch", role)
            size = max(tokens / ranks, max(s for s, _ in given))
            pairs = max(sum(p for _, p in given) / ranks, max(p for _, p in given))
            decoded = count / ranks if mixes else 0.0
            whole = self.pass_s(role, size + decoded, pairs)
            if decoded:
                whole -= self.pass_s(role, decoded, 0.0)
            duration += stretch * whole + load
            instance.extra = (1.0 - stretch) * whole
            instance.prefill_busy += duration
        else:
            instance.extra = 0.0
        if count and (mixes or not tokens):
            instance.decodes = True
            step = self.decode_s(role, count, sum(s.context for s in instance.decoding))
            instance.decode_busy += step
            duration += step
        self.schedule(instance, self.now + duration)

    def decode_s(self, role, count, context):
        knots = self.law.knots[role]
        piece = max(sum(1 for k in knots if k <= context / count) - 1, 0)
        return float(
            self.law.decode_s[role][count][piece]
            + self.law.decode_slope[role][count][piece] * context
        )

    def pass_s(self, role, tokens, pairs):
        knots = self.law.pass_tokens[role]
        low = 0
        while low < len(knots) - 2 and knots[low + 1] <= tokens:
            low += 1
        share = (tokens - knots[low]) / (knots[low + 1] - knots[low])
        base, slope = (
            t[role][low] + share * (t[role][low + 1] - t[role][low])
            for t in (self.law.pass_s, self.law.pass_slope)
        )
        return float(base + slope * pairs)

    # ---- caches between pools ----

    def send(self, source, one, passed):
        links = self.links
        able = [i for i in self.instances if i.role == DECODE and i.open]
        target = min(able, key=lambda i: (i.assigned, i.number))
        seconds = one.size * float(links.token_s)
        seconds += math.ceil(one.size / float(links.segment_tokens)) * float(links.segment_s)
        free = max(source.link_out, target.link_in)
        if float(links.streamed) > 0.5:
            start = max(one.scheduled, free)
            end = max(
                start + seconds, passed + seconds / float(links.layers) + float(links.setup_s)
            )
        else:
            start = max(passed + float(links.setup_s), free)
            end = start + seconds
        if source.sending:
            end = max(end, source.sending[-1].sent)
        source.link_out = start + seconds * float(links.out_frac)
        target.link_in = start + seconds * float(links.in_frac)
        target.assigned += 1
        one.sent, one.decoder, one.need, one.past = end, target.number, 0, 0
        source.sending.append(one)
        self.push(end, CACHE, source.number, source.number)

    def received(self, source):
        one = source.sending.pop(0)
        source.held -= one.blocks
        self.leave(one, source)
        target = self.instances[one.decoder]
        target.queue.append(one)
        self.wake(target)
        if source.queue:
            self.wake(source)

    # ---- prefix blocks ----

    def ids(self, one):
        blocks = self.blocks
        return blocks.ids[blocks.start[one.origin] : blocks.start[one.origin + 1]].tolist()

    def hits(self, one, instance):
        counts = []
        for held in (instance.hbm, instance.lru):
            run = 0
            for block in self.ids(one):
                if block not in held and block not in instance.users:
                    break
                run += 1
            counts.append(min(run * int(self.client.prefix_tokens), one.isl - 1))
        return counts[0], max(counts)

    def begin(self, one, instance):
        """Its blocks are in use, and no part of what may be evicted."""
        for place, block in enumerate(self.ids(one)):
            prefix = int(self.client.prefix_tokens)
            tokens = min(prefix, one.isl - place * prefix)
            if block not in instance.users:
                own = tokens // int(self.number("block_tokens", instance.role))
                instance.sizes[block] = own
            instance.users[block] = instance.users.get(block, 0) + 1
            for held in (instance.hbm, instance.lru):
                held.pop(block, None)

    def leave(self, one, instance):
        """What nobody else uses is cached, its first blocks the most recently used."""
        if not self.cached or instance.role == DECODE:
            return
        for block in reversed(self.ids(one)):
            instance.users[block] -= 1
            if instance.users[block] == 0:
                del instance.users[block]
                for held in (instance.hbm, instance.lru):
                    held[block] = True

    def fit(self, instance, free):
        room = math.floor(
            max(free, 0)
            * self.number("block_tokens", instance.role)
            / float(self.client.prefix_tokens)
        )
        while len(instance.hbm) > room:
            instance.hbm.pop(next(iter(instance.hbm)))
        while len(instance.lru) > room + int(self.client.host_blocks):
            instance.lru.pop(next(iter(instance.lru)))
