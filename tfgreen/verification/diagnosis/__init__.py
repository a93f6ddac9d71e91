"""Why a quantized file differs from its float model: which op goes wrong first, and by what cause.

pairing     which tensor of the file is which tensor of the float model
steps       each op of the file beside the float ops that it stands for, both ready to run
measuring   the error of every op by itself, inherited, and as a share of the final error
causes      rules that name the cause, each with the numbers that it rests on
"""
