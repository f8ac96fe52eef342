import { publish } from '@varve/core'
import { describe, expect, it } from 'vitest'
import { createLogger, forwardLogChannel } from './logger.ts'
import { createMetrics } from './metrics.ts'

describe('createLogger', () => {
  it('writes one JSON object a line with time, level, component and message', () => {
    const lines: string[] = []
    const logger = createLogger({
      level: 'info',
      component: 'test',
      destination: { write: (line) => lines.push(line) },
    })
    logger.info({ symbol: 'AAPL', apiKey: 'very-secret' }, 'loaded')
    logger.debug('not shown')
    expect(lines).toHaveLength(1)
    expect(JSON.parse(lines[0]!)).toMatchObject({
      level: 'info',
      component: 'test',
      msg: 'loaded',
      symbol: 'AAPL',
      apiKey: '[redacted]',
    })
  })

  it('forwards what libraries publish until stopped', () => {
    const lines: string[] = []
    const logger = createLogger({
      level: 'info',
      component: 'app',
      destination: { write: (line) => lines.push(line) },
    })
    const stop = forwardLogChannel(logger)
    publish('log', () => ({ level: 'warn', component: 'storage', message: 'late row', rows: 2 }))
    stop()
    publish('log', () => ({ level: 'warn', component: 'storage', message: 'not heard' }))
    expect(lines.map((line) => (JSON.parse(line) as { component: string }).component)).toEqual(['storage'])
    expect(lines[0]?.match(/"component"/g)).toHaveLength(1)
  })
})

describe('createMetrics', () => {
  it('exposes what the channels carry, and stops at close', async () => {
    const metrics = createMetrics()
    publish('load', () => ({ interval: '1d', inserted: 3, updated: 1, unchanged: 0, durationMs: 20 }))
    publish('scan', () => ({ layers: { 0: 10, 1: 4 }, changed: 2, durationMs: 5 }))
    metrics.close()
    publish('load', () => ({ interval: '1d', inserted: 100, updated: 0, unchanged: 0, durationMs: 1 }))
    const exposed = await metrics.expose()
    expect(exposed).toContain('varve_bars_loaded_total{interval="1d",result="inserted"} 3')
    expect(exposed).toContain('varve_layer_symbols{layer="1"} 4')
    expect(exposed).toContain('# TYPE varve_layer_changes_total counter')
  })
})
