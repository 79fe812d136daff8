//! Never shipped: a loopback model server in every dialect, scripted agents, fault injection.
