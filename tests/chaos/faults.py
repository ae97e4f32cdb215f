"""The rows of the table: one function a fault. Each sends traffic, hurts the platform meanwhile, and waits for the answers."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress

from redis.exceptions import RedisError

from app.direct.watchdog import EXIT_CODE
from tests.chaos.asking import Answer, ask
from tests.chaos.brittle import POISONS
from tests.chaos.processes import until
from tests.chaos.questions import BRISK, COUNTING, HASTY, PATIENT, STRICT
from tests.chaos.scene import FAULTS, Scene, fault

__all__ = ["FAULTS"]


@fault
async def nothing(scene: Scene) -> None:
    """The measure of the others."""

    async def hurt() -> None:
        await asyncio.sleep(1)

    await scene.during(hurt, STRICT)


@fault
async def workers_killed(scene: Scene) -> None:
    """SIGKILL of a worker: by turns its main process alone, and all of it as when a container ends."""

    async def hurt() -> None:
        for turn in range(2 * scene.size):
            await scene.pause(0.2, 1.5)
            worker = scene.chance.choice(scene.stack.workers)
            worker.signal(signal.SIGKILL) if turn % 2 else worker.signal_all(signal.SIGKILL)
            await worker.gone()
            worker.start()
        await asyncio.gather(*(worker.wait_ready() for worker in scene.stack.workers))

    await scene.during(hurt, PATIENT, takes=0.5)


@fault
async def children_killed(scene: Scene) -> None:
    """SIGKILL of the processes that predict."""

    async def hurt() -> None:
        for _ in range(8 * scene.size):
            await scene.pause(0.1, 1.0)
            children = [pid for worker in scene.stack.workers for pid in worker.children()]
            if children:
                with suppress(ProcessLookupError):
                    os.kill(scene.chance.choice(children), signal.SIGKILL)

    await scene.during(hurt, PATIENT, takes=0.5)


@fault
async def workers_drained(scene: Scene) -> None:
    """SIGTERM: each ends what it runs and exits with 0."""

    async def hurt() -> None:
        for _ in range(scene.size):
            await scene.pause(0.2, 1.5)
            worker = scene.chance.choice(scene.stack.workers)
            worker.signal(signal.SIGTERM)
            code = await worker.gone()
            if code:
                scene.ledger.notes.append(f"a worker that was told to end exited with {code}")
            worker.start()
            await worker.wait_ready()

    await scene.during(hurt, STRICT)


@fault
async def workers_hurried(scene: Scene) -> None:
    """A second SIGTERM while long predictions run: they are handed back without an attempt, and the worker still exits with 0."""

    async def hurt() -> None:
        for _ in range(scene.size):
            await scene.pause(0.2, 1.0)
            worker = scene.chance.choice(scene.stack.workers)
            worker.signal(signal.SIGTERM)
            await asyncio.sleep(0.5)
            worker.signal(signal.SIGTERM)
            code = await worker.gone()
            if code:
                scene.ledger.notes.append(f"a worker that was told to end at once exited with {code}")
            worker.start()
            await worker.wait_ready()

    await scene.during(hurt, STRICT, jobs=40, takes=4)


@fault
async def api_killed(scene: Scene) -> None:
    """SIGKILL of an API process in the middle of submits."""

    async def hurt() -> None:
        for _ in range(2 * scene.size):
            await scene.pause(0.2, 1.0)
            api = scene.chance.choice(scene.stack.apis)
            await api.kill()
            api.start()
            await api.wait_ready()

    await scene.during(hurt, STRICT)


@fault
async def api_drained(scene: Scene) -> None:
    """SIGTERM of an API process in the middle of submits: it answers what it has read and exits with 0."""

    async def hurt() -> None:
        for _ in range(scene.size):
            await scene.pause(0.2, 1.0)
            api = scene.chance.choice(scene.stack.apis)
            api.signal(signal.SIGTERM)
            code = await api.gone()
            if code:
                scene.ledger.notes.append(f"an API that was told to end exited with {code}")
            api.start()
            await api.wait_ready()

    await scene.during(hurt, STRICT)


@fault
async def direct_graph_blocks(scene: Scene) -> None:
    """A graph on the direct lane blocks its API process, which ends itself. From then on the version takes the queue."""

    async def hurt() -> None:
        for api, url in list(zip(scene.stack.apis, scene.stack.urls, strict=True))[: scene.size]:
            await _until_lane(url, "direct")
            with suppress(OSError):
                answer = await _count_to(url, 1e12)
                scene.ledger.notes.append(f"{api.name} answered {answer.status} to a call without an end")
            code = await api.gone()
            if code != EXIT_CODE:
                scene.ledger.notes.append(f"an API whose graph did not return exited with {code}")
            api.start()
            await api.wait_ready()
            await _until_lane(url, "queue")
            answer = await _count_to(url, 3)
            if answer.status != 200:
                scene.ledger.notes.append(f"{api.name} answered {answer.status} to a good call of that graph")

    await scene.during(hurt, STRICT)


async def _until_lane(url: str, lane: str) -> None:
    async def taken() -> bool:
        answer = await ask("GET", f"{url}/v1/models/{COUNTING}/versions/1")
        return answer.status == 200 and bool(answer.json()["lane"] == lane)

    await until(taken, 60, f"the {lane} lane at {url}")


async def _count_to(url: str, value: float) -> Answer:
    tensor = {"name": "x", "shape": [1, 1], "datatype": "FP64", "data": [value]}
    return await ask("POST", f"{url}/v2/models/{COUNTING}/infer", {"inputs": [tensor]})


@fault
async def redis_restarted(scene: Scene) -> None:
    """Three times, by turns asked to end and killed; what it had acknowledged is in its AOF."""

    async def hurt() -> None:
        for turn in range(3):
            await scene.pause(0.5, 1.5)
            scene.stack.redis.signal(signal.SIGKILL if turn % 2 else signal.SIGTERM)
            await scene.stack.redis.gone()
            await scene.pause(0.2, 2.0)
            scene.stack.redis.start()
            await scene.stack.redis.wait_ready()

    await scene.during(hurt, STRICT)


@fault
async def redis_frozen(scene: Scene) -> None:
    """SIGSTOP: connections stay open and nothing is answered, once for longer than the visibility timeout."""

    async def hurt() -> None:
        for seconds in (3, 13)[-scene.size :]:
            scene.stack.redis.signal(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            scene.stack.redis.signal(signal.SIGCONT)
            await asyncio.sleep(1)

    await scene.during(hurt, STRICT, seconds=10)


@fault
async def redis_away(scene: Scene) -> None:
    """For longer than predictions may take, and than workers wait to write what they know."""

    async def hurt() -> None:
        for _ in range(scene.size):
            await scene.pause(0.5, 1.0)
            scene.stack.redis.signal(signal.SIGTERM)
            await scene.stack.redis.gone()
            await asyncio.sleep(20 if scene.size > 1 else 12)
            scene.stack.redis.start()
            await scene.stack.redis.wait_ready()

    await scene.during(hurt, BRISK, jobs=300, takes=0.3)


@fault
async def connections_reset(scene: Scene) -> None:
    """CLIENT KILL of every connection, while predictions run that are longer than the time between two resets."""

    async def hurt() -> None:
        for _ in range(4 * scene.size):
            await scene.pause(0.5, 1.5)
            with suppress(RedisError):
                await scene.stack.client.client_kill_filter(_type="normal", skipme=True)
                await scene.stack.client.client_kill_filter(_type="pubsub")

    await scene.during(hurt, STRICT, jobs=100, takes=3)


@fault
async def memory_full(scene: Scene) -> None:
    """Redis refuses every write that needs memory, in the middle of the work."""

    async def hurt() -> None:
        for _ in range(scene.size):
            used = (await scene.stack.client.info("memory"))["used_memory"]
            await scene.stack.client.config_set("maxmemory", used // 2)
            await asyncio.sleep(6)
            await scene.stack.client.config_set("maxmemory", 0)
            await scene.pause(0.5, 2)

    await scene.during(hurt, STRICT, jobs=800)


@fault
async def messages_lost(scene: Scene) -> None:
    """A message is popped and gets no further, as when a worker dies between popping and registering it."""

    async def hurt() -> None:
        for worker in scene.stack.workers:
            worker.signal_all(signal.SIGSTOP)
        await asyncio.sleep(2)
        for _ in range(10 * scene.size):
            await scene.stack.client.rpop("celeriac:default")
        for worker in scene.stack.workers:
            worker.signal_all(signal.SIGCONT)

    await scene.during(hurt, STRICT, jobs=600, seconds=4)


@fault
async def workers_frozen(scene: Scene) -> None:
    """SIGSTOP of a worker for longer than the visibility timeout: another worker takes its work, and then it continues, too."""

    async def hurt() -> None:
        for _ in range(scene.size):
            worker = scene.chance.choice(scene.stack.workers)
            worker.signal_all(signal.SIGSTOP)
            await asyncio.sleep(13)
            worker.signal_all(signal.SIGCONT)

    await scene.during(hurt, PATIENT, seconds=8)


@fault
async def scaled_in(scene: Scene) -> None:
    """Ten workers (four in the quick form) become one in a moment."""
    await scene.stack.scale(2, 10 if scene.size > 1 else 4)

    async def hurt() -> None:
        leaving = scene.stack.workers[1:]
        for worker in leaving:
            worker.signal(signal.SIGTERM)
        for code in await asyncio.gather(*(worker.gone() for worker in leaving)):
            if code:
                scene.ledger.notes.append(f"a worker that was told to end exited with {code}")

    await scene.during(hurt, STRICT, jobs=800)
    await scene.traffic.settle(60)
    await scene.stack.scale(2, 2)


def _poison(kind: str) -> None:
    async def poisoned(scene: Scene) -> None:
        """One poisoned job among good ones that travel in the same message."""
        for _ in range(scene.size):
            companions = scene.questions.good(HASTY, 30, 0.0)
            companions.insert(scene.chance.randrange(30), scene.questions.poisoned(kind))
            scene.struck()
            await asyncio.gather(*(scene.traffic.submit(question) for question in companions))
            scene.struck()

    FAULTS[f"poison: {kind}"] = poisoned


for _kind in POISONS:
    _poison(_kind)


@fault
async def connections_half_open(scene: Scene) -> None:
    """The network goes silent without a reset; new connections work. The last row, for its processes reach Redis through a wire."""
    stack = scene.stack
    await stack.wire.start()
    await stack.scale(0, 0)
    stack.wired = True
    await stack.scale(2, 2)

    async def hurt() -> None:
        for _ in range(scene.size):
            await scene.pause(0.5, 2)
            stack.wire.cut()

    await scene.during(hurt, STRICT)
