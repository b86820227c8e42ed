"""The speed that a pool of workers tells, as they come and go; no Ray is started."""

from __future__ import annotations

import dataclasses

import pytest

from packtrain.training import Speed
from packtrain.workers.actor_pool import ActorPool, Worker
from packtrain.workers.cluster_share import ClusterShare
from packtrain.workers.segment_actor import Whereabouts

FAST = Speed(operation=1e-12)
SLOW = Speed(operation=9e-11)


class Told:
    """A pool that has started, the workers that are put into it, and what it tells."""

    def __init__(self) -> None:
        self.told: list[tuple[int, Speed]] = []
        self.pool = ActorPool(None, lambda workers, speed: self.told.append((workers, speed)))
        self.pool._is_started = True

    def add(self, node: str, speed: Speed | None) -> Worker:
        worker = Worker(None, Whereabouts(node_id=node, process_id=1, arithmetic=""))
        self.pool._workers.add(worker)
        self.pool._speeds[node] = speed
        return worker

    def lose(self, worker: Worker) -> tuple[int, Speed]:
        self.pool._bury(worker)
        return self.told[-1]


@pytest.fixture
def pool() -> Told:
    return Told()


def test_the_speed_is_kept_while_no_worker_is_up(pool: Told) -> None:
    assert pool.lose(pool.add("a", SLOW)) == (0, SLOW)


def test_the_speed_is_that_of_the_nodes_that_are_left(pool: Told) -> None:
    slow, fast = pool.add("slow", SLOW), pool.add("fast", FAST)
    assert pool.lose(slow) == (1, FAST)
    # Whoever comes next may be on either.
    assert pool.lose(fast) == (0, Speed.slowest([FAST, SLOW]))


def test_a_node_that_is_being_measured_does_not_count(pool: Told) -> None:
    pool.add("fast", FAST)
    assert pool.lose(pool.add("unknown", None)) == (1, FAST)


def test_without_a_measure_the_default_holds(pool: Told) -> None:
    workers, speed = pool.lose(pool.add("a", None))
    assert (workers, dataclasses.astuple(speed)) == (0, dataclasses.astuple(Speed()))


def test_idle_workers_beyond_the_share_are_ended(
    pool: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[object] = []
    monkeypatch.setattr("packtrain.workers.actor_pool.ray.kill", ended.append)
    workers = [pool.add("a", FAST) for _ in range(4)]
    pool.pool._cpus = 4
    for worker in workers[:2]:
        pool.pool.release(worker)
    pool.pool.share_cluster(ClusterShare((4, 9, 9), 0))
    assert len(ended) == 2
    assert pool.told[-1][0] == 2
    # Those that have a segment in hand are ended after it, as far as they are too many.
    pool.pool.share_cluster(ClusterShare((9, 9, 9, 9), 0))
    assert len(ended) == 2
    pool.pool.release(workers[2])
    assert len(ended) == 3
    pool.pool.release(workers[3])
    assert [w.alive for w in workers] == [False, False, False, True]
