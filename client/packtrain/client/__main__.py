"""`python -m packtrain.client` is `packtrain`."""

from packtrain.client.cli import main

if __name__ == "__main__":
    main()
