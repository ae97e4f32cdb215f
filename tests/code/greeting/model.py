"""A plain function is a model."""


def predict(inputs):
    print("greeting", inputs["name"])
    return f"Hello, {inputs['name']}!"
