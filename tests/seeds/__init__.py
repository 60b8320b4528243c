"""The documents that Slipway is built from, run as tests: one file for each of the five.

Each file holds facts only: the requests that its document shows (host and port are ours) and the
answers that it documents. `shapes.like` compares: every documented key is there with the same type
of JSON value; further keys are welcome.

What belongs to later work is not here yet: training by the API (`POST /train`, `/train_model`,
`/train/...`), asynchronous requests (`POST /process-image/async`, `GET /task/{id}`), drift, the
dashboards, the compose files. Each file says which of its document's requests that concerns.
"""
