//! REST reads, administration and static pages: `tiny_http` on a private Unix socket behind the gateway.
