"""What computing costs: measured where a meter is there, modelled with a range where none is.

    meter = Meter()
    with meter:
        model.fit(x, y)
    print(meter.reading)

`Ledger` keeps what the stages of a model's life took, over restarts; `tfgreen report` sets it
beside the cost of inference. No network is ever used, and no grid factor is ever assumed.
"""
