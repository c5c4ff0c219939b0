"""What is asked of instances and told by them: drivers, reports, leases, and the routes that lead there.

Protocols and what they take, in words of the model; drivers, routing and the store keep them.
Begin with `fleet`: it has what a driver is.
"""
