"""Networks that begin where others ended, over real Ray and a real socket."""

from __future__ import annotations

import numpy as np
import pytest

from packtrain.client import SGD, Client, DatasetSelection, FromModel, JobSpec, choice

pytestmark = [pytest.mark.ray, pytest.mark.timeout(120)]


def test_a_network_goes_on_from_others_that_are_gone(client: Client) -> None:
    def spec(**fields: object) -> JobSpec:
        return JobSpec(
            dataset=DatasetSelection(name="digits", training_rows=300),
            network=[12],
            seed=1,
            **fields,
        )

    first = client.run(spec(optimizer=SGD(learning_rate=choice(0.1, 0.5, 1.0)), epochs=8))
    ended = first.results().final("training_cost")
    # A step of so little changes no float32: the first measurement is of the start.
    origin = FromModel(job=first, trial=choice(2, 0, 1))
    second = client.train(spec(initialization=origin, optimizer=SGD(learning_rate=1e-12), epochs=1))
    first.delete()
    second.wait()
    begun = second.results().metric("training_cost")[:, 0]
    np.testing.assert_array_equal(begun, ended[[2, 0, 1]])
