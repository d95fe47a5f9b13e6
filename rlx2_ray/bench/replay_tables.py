"""What `bench_replay` found, as tables for people: headings and rows of text."""

from __future__ import annotations

from typing import Any

Table = tuple[list[str], list[list[str]]]


def inline_table(content: dict[str, Any]) -> Table:
    """Returns headings and rows of the buffer in this process, beside the flat ring."""
    windows, batch = f"{content['n_step']}-step windows", f"a batch of {content['batch_size']}"
    rows = [
        ("insert, µs a transition, 32 at a time", "insert_us", None),
        ("insert, µs a transition, one at a time", "insert_single_us", "flat_insert_single_us"),
        (f"sample, µs {batch}, {windows}", "sample_us", None),
        (f"sample, µs {batch}, 1-step windows", "sample_1_step_us", "flat_sample_us"),
        ("memory, bytes a transition", "memory_bytes", "flat_memory_bytes"),
        ("of it in use", "used_memory_bytes", "flat_memory_bytes"),
        ("snapshot, bytes a transition", "disk_bytes", None),
        ("snapshot, s", "save_s", None),
        ("snapshot after 10 000 more, s", "save_again_s", None),
    ]
    return ["", "ours", "flat ring"], [
        [name, _figure(content[ours]), _figure(content[flat]) if flat else "-"] for name, ours, flat in rows
    ]


def shards_table(content: dict[str, Any]) -> Table:
    batch, chunk = f"a batch of {content['batch_size']}", f"chunks of {content['batches_per_chunk']} batches"
    rows = [
        (f"sample and join, µs {batch}", "batch_us", 1.0),
        ("load, s", "load_s", 1.0),
        ("actors: load, s", "actors_load_s", 1.0),
        ("actors: insert calls a second", "insert_calls_per_s", 1.0),
        ("actors: transitions a second", "insert_transitions_per_s", 1.0),
        (f"actors: {chunk} a second", "chunks_per_s", 1.0),
        ("actors: batches a second", "batches_per_s", 1.0),
        ("actors: memory of one (RSS), MB", "rss_bytes", 1e-6),
        ("actors: the same, shared pages shared out (PSS), MB", "pss_bytes", 1e-6),
    ]
    shards = content["shards"]
    return ["", *(f"{one['shards']} shard{'s' * (one['shards'] > 1)}" for one in shards)], [
        [name, *(_figure(scale * one[key]) for one in shards)] for name, key, scale in rows
    ]


def _figure(value: float) -> str:
    """To three digits or more."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
