"""What a request costs: CPU per request of the gateway beside nginx, HAProxy, Envoy, Fastify and a naive one, in one run."""
