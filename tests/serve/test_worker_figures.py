"""One worker tells the figures of all."""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from homing.serve.metrics import Metrics
from homing.serve.worker_figures import WorkerFigures


def samples(text: bytes, name: str) -> list[tuple[dict[str, str], float]]:
    families = list(text_string_to_metric_families(text.decode()))
    return [(sample.labels, sample.value) for family in families for sample in family.samples if sample.name == name]


async def test_whichever_worker_is_asked_tells_the_figures_of_all(tmp_path: Path) -> None:
    each = [Metrics(), Metrics()]
    each[1].synced("well")
    workers = [WorkerFigures(tmp_path, number, 2, own.exposition) for number, own in enumerate(each, start=1)]
    for worker in workers:
        await worker.open()
    text = await workers[0].exposition()
    for worker in workers:
        await worker.close()
    told = {
        labels["worker"]: value for labels, value in samples(text, "homing_syncs_total") if labels["result"] == "well"
    }
    assert told == {"1": 0.0, "2": 1.0}
    assert samples(text, "homing_workers_answered") == [({}, 2.0)]
    assert text.count(b"# TYPE homing_syncs_total counter") == 1


async def test_a_worker_that_is_away_is_left_out_and_that_is_told(tmp_path: Path) -> None:
    alone = WorkerFigures(tmp_path, 1, 3, Metrics().exposition)
    await alone.open()
    text = await alone.exposition()
    await alone.close()
    assert {labels["worker"] for labels, _ in samples(text, "homing_syncs_total")} == {"1"}
    assert samples(text, "homing_workers_answered") == [({}, 1.0)]


async def test_a_worker_takes_the_place_of_the_one_before_it(tmp_path: Path) -> None:
    before, after = (WorkerFigures(tmp_path, 2, 2, Metrics().exposition) for _ in range(2))
    await before.open()
    await after.open()
    await before.close()
    one = WorkerFigures(tmp_path, 1, 2, Metrics().exposition)
    assert samples(await one.exposition(), "homing_workers_answered") == [({}, 2.0)]
    await after.close()
