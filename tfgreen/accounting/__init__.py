"""What files cost and save: their ledgers, their inferences, carbon, money and break-even.

`report` reads bundles and `.tflite` files, times them here, and sets what was spent once beside
what every inference takes.
"""
