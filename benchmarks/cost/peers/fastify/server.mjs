// Fastify as a gateway: `node server.mjs CONFIG.json`. The configuration: host, port, full, cached, secret, stages, service,
// legacy, log. `stages` names a file with the stage of each user; `legacy` is the one stage that goes to the other side.
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'

import jwt from '@fastify/jwt'
import from from '@fastify/reply-from'
import Fastify from 'fastify'
import pino from 'pino'

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const upstream = {
  disableRequestLogging: true,
  undici: { connections: 128, pipelining: 1, keepAliveTimeout: 600_000, keepAliveMaxTimeout: 600_000 }
}

const server = config.full ? await full() : await bare()
await server.listen({ host: config.host, port: config.port })
process.once('SIGTERM', () => process.exit(0))

async function bare () {
  const server = Fastify({ logger: false, keepAliveTimeout: 600_000 })
  await server.register(from, { ...upstream, base: config.service })
  server.all('/*', (request, reply) => reply.from())
  return server
}

async function full () {
  const stages = new Map(Object.entries(JSON.parse(readFileSync(config.stages, 'utf8'))))
  const log = pino({ base: null }, pino.destination({ dest: config.log, sync: false, minLength: 8192, periodicFlush: 100 }))
  const server = Fastify({
    loggerInstance: log,
    disableRequestLogging: true,
    keepAliveTimeout: 600_000,
    requestIdHeader: 'x-correlation-id',
    genReqId: () => randomUUID()
  })
  await server.register(from, upstream)
  await server.register(jwt, {
    secret: config.secret,
    verify: {
      algorithms: ['HS256'],
      allowedAud: 'authenticated',
      requiredClaims: ['exp', 'sub', 'aud'],
      ...(config.cached ? { cache: 5000 } : {})
    }
  })
  server.addHook('onRequest', async (request, reply) => {
    reply.header('x-correlation-id', request.id)
    await request.jwtVerify()
  })
  server.addHook('onResponse', async (request, reply) => {
    log.info({
      cid: request.id,
      sub: request.user?.sub,
      side: request.side,
      method: request.method,
      path: request.url,
      status: reply.statusCode,
      ms: reply.elapsedTime
    })
  })
  server.decorateRequest('side', '')
  server.all('/*', (request, reply) => {
    request.side = (stages.get(request.user.sub) ?? 'legacy') === 'legacy' ? 'legacy' : 'service'
    return reply.from(undefined, {
      getUpstream: () => config[request.side],
      rewriteRequestHeaders: (_, headers) => ({ ...headers, 'x-correlation-id': request.id }),
      rewriteHeaders: (headers) => ({ ...headers, 'x-correlation-id': request.id })
    })
  })
  return server
}
