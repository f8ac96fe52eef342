import { parentPort, workerData } from 'node:worker_threads'
import { createExchangeCalendar } from '@varve/calendar'
import { createStandInMarket, startStandInServer } from '@varve/providers/testing'

/** What the thread is started with. */
export interface DemoServerSettings {
  readonly exchange: string
  readonly seed: number
  readonly symbols: number
  readonly asOf: string
  readonly missingRate: number
  readonly transientRate: number
  readonly apiKey: string
  readonly quotas: readonly { readonly limit: number; readonly windowMs: number }[]
}

/** Runs the stand-in market in a thread of its own, so that answering does not slow the program that asks. */
if (parentPort !== null) {
  const port = parentPort
  const { exchange, seed, symbols, asOf, missingRate, transientRate, apiKey, quotas } =
    workerData as DemoServerSettings
  const calendar = createExchangeCalendar(exchange)
  const market = createStandInMarket({ seed, symbols, asOf, calendar, missingRate, transientRate })
  const server = await startStandInServer({ market, apiKey, quotas, seed })
  port.postMessage({ url: server.url })
  port.once('message', () => {
    void server.close().then(() => port.close())
  })
}
