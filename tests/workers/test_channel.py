"""Frames over a socket pair."""

from __future__ import annotations

import asyncio
import socket

import numpy as np
import pytest

from packtrain.workers import SegmentFailedError, StateLostError
from packtrain.workers.channel import Channel
from packtrain.workers.messages import Refused


@pytest.fixture
async def ends():
    first, second = socket.socketpair()
    channels = await Channel.over(first), await Channel.over(second)
    yield channels
    for channel in channels:
        await channel.close()


async def test_messages_arrive_in_order_both_ways(ends):
    for end, other in (ends, ends[::-1]):
        for number in range(50):
            end.post({"number": number, "array": np.arange(number)})
        for number in range(50):
            message = await other.receive()
            assert message["number"] == number
            np.testing.assert_array_equal(message["array"], np.arange(number))


async def test_large_arrays_arrive_writable_while_the_loop_goes_on(ends):
    arrays = [np.random.default_rng(i).random((1024, 1024)) for i in range(4)]
    turns = 0

    async def count_turns():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    ends[0].post(arrays)
    received = await ends[1].receive()
    counting.cancel()
    # 32 MB in pieces of 256 KB.
    assert turns > 50
    for array, sent in zip(received, arrays, strict=True):
        np.testing.assert_array_equal(array, sent)
        assert array.flags.writeable


async def test_the_end_of_the_other_end(ends):
    ends[0].post("last words")
    await ends[0].close()
    assert await ends[1].receive() == "last words"
    with pytest.raises(EOFError):
        await ends[1].receive()
    ends[1].post("nobody listens")


async def test_a_message_cut_off(ends):
    ends[0]._writer.write(b"\x01\x00\x00\x00" + (100).to_bytes(8, "little") + b"half")
    await ends[0].close()
    with pytest.raises(EOFError):
        await ends[1].receive()


def test_errors_keep_their_kind_and_reason():
    failed = Refused.by(1, SegmentFailedError("OUT_OF_MEMORY", "too large")).error()
    assert isinstance(failed, SegmentFailedError)
    assert (failed.reason, str(failed)) == ("OUT_OF_MEMORY", "too large")
    assert isinstance(Refused.by(1, StateLostError("gone")).error(), StateLostError)
