"""python -m bench.campaign."""

from bench.campaign import main

main()
