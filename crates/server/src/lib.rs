//! The one place that knows every room: configuration and the wiring of the product.
