"""What a sensor does to data, and whether its measurements tell the law of the pictures.

    sources ── masks ──┬── verdicts ── inspection ──┬── report      tables and JSON
                       └── further ── noise ────────┘── pictures    PNG

`ambientkit.inspecting.inspection.inspect` is the way in; `Engine.inspect` calls it.
"""
