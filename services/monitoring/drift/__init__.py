"""Whether the inputs and answers of a model still look as they did: statistics, and nothing else.

`samples.Sample` is one row of a prediction, `describe.describe` makes them of records,
`baseline.Baseline` is what they looked like, `compare.compare` says whether that has changed.
"""
