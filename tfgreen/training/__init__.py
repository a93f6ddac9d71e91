"""Training that wastes less: budgets, schedules that follow them, and `fit` around both.

    budget = tg.Budget(joules=2_000, metric="val_accuracy", target=0.95)
    result = tg.fit(model, (x, y), validation_data=(x_val, y_val), budget=budget)
    print(result)

`budget.callback()` is for a `fit` of your own, of Keras 3 or tf_keras.
"""
