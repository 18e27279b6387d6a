"""MEGNet on graphs of defects and of all atoms, with matgl and with the original package.

matgl and torch_geometric come with the extra ``megnet``, TensorFlow and the original ``megnet``
with the extra ``keras``.
"""
