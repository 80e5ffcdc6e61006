"""Sound as numbers: arrays in, arrays out, no clock and no store.

`mulaw` is the telephone's byte, `loudness` measures, `band` filters. `container` and `decode` read files, `bedmaking`
makes of them music that loops, `speech` makes voices ready, and `mix` lays them over the music.
"""
