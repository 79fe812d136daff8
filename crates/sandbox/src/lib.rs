//! What a worker process may do and how it is supervised: namespaces, limits, freeze, kill.
