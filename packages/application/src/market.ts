import { accessSync, constants, statSync } from 'node:fs'
import { basename } from 'node:path'
import { createExchangeCalendar } from '@varve/calendar'
import { type Clock, type Interval, type SessionCalendar, systemClock, VarveError } from '@varve/core'
import {
  createFileProvider,
  createPolygonProvider,
  type FileProvider,
  type MarketDataProvider,
} from '@varve/providers'
import { createRateLimiter, type QuotaWindow, type RateLimiter } from '@varve/rate-limiter'
import { rateLimitOf } from './settings/derive.ts'
import type { Settings } from './settings/sections.ts'

interface Parts {
  readonly calendar: SessionCalendar
  readonly clock: Clock
}

/** Files as a source of bars. @throws `FILE_NOT_FOUND`, `FILE_UNREADABLE` before anything is opened */
export function fileProvider(
  files: readonly string[],
  settings: Settings,
  options: { readonly interval?: Interval; readonly name?: string } = {},
): (parts: Parts) => FileProvider {
  for (const file of files) checkReadable(file)
  return ({ calendar, clock }) =>
    createFileProvider({
      files,
      interval: options.interval ?? '1d',
      name: options.name ?? sourceNameOf(files[0]!),
      calendar,
      clock,
      ...settings.providers.file,
    })
}

/** `data/us_daily.parquet` → `us_daily`. */
export function sourceNameOf(file: string): string {
  return basename(file).replace(/\.(parquet|csv|csv\.gz|txt|txt\.gz)$/i, '')
}

function checkReadable(file: string): void {
  try {
    if (!statSync(file).isFile()) {
      throw new VarveError(`${file} is not a file`, { code: 'FILE_NOT_FOUND', details: { file } })
    }
  } catch (cause) {
    if (cause instanceof VarveError) throw cause
    throw new VarveError(`no such file: ${file}`, { code: 'FILE_NOT_FOUND', cause, details: { file } })
  }
  try {
    accessSync(file, constants.R_OK)
  } catch (cause) {
    throw new VarveError(`${file} cannot be read; check its permissions`, {
      code: 'FILE_UNREADABLE',
      cause,
      details: { file },
    })
  }
}

/** The provider the configuration names, or `undefined` when it names none. */
export function configuredProvider(settings: Settings): ((parts: Parts) => MarketDataProvider) | undefined {
  const { polygon } = settings.providers
  if (polygon === undefined) return undefined
  const { plan, ...particular } = polygon
  const windows = rateLimitOf(settings, plan)
  const { concurrency: _concurrency, ...network } = settings.network
  return ({ calendar, clock }) =>
    createPolygonProvider({
      ...network,
      ...particular,
      quota: rateLimiterOf(settings, { polygon: windows }, clock),
      quotaKey: 'polygon',
      rateLimitedPauseMs: shortestWindowMs(windows),
      calendar,
      clock,
    })
}

/** A limiter of some plans, with the margins and queues of `rate-limits.yaml`. */
export function rateLimiterOf(
  settings: Pick<Settings, 'rate-limits'>,
  plans: Readonly<Record<string, readonly QuotaWindow[]>>,
  clock: Clock,
): RateLimiter {
  const { profiles: _profiles, marginMs, ...options } = settings['rate-limits']
  return createRateLimiter({
    ...options,
    limits: Object.fromEntries(Object.entries(plans).map(([key, windows]) => [key, { windows, marginMs }])),
    clock,
  })
}

/** A 429 that names no pause is waited out for the shortest window of the plan. */
export function shortestWindowMs(windows: readonly { readonly windowMs: number }[]): number {
  return Math.min(...windows.map((window) => window.windowMs))
}

/**
 * The source of market data: files when some are named, otherwise what the configuration names.
 *
 * @throws `PROVIDER_NONE` when there is neither
 */
export function chooseProvider(
  settings: Settings,
  options: { readonly bars?: readonly string[] },
): (parts: Parts) => MarketDataProvider {
  const provider =
    options.bars === undefined ? configuredProvider(settings) : fileProvider(options.bars, settings)
  if (provider === undefined) {
    throw new VarveError(
      'no source of market data: configure a provider in providers.yaml (varve init writes one to start from), name files with --bars, or try the synthetic market with --demo',
      { code: 'PROVIDER_NONE' },
    )
  }
  return provider
}

/**
 * Reads the beginning of each file, so that a file without the needed columns is refused before anything is opened.
 *
 * @throws `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `FILE_COLUMNS_MISSING`
 */
export async function checkFiles(
  files: readonly string[],
  settings: Settings,
  options: { readonly interval: Interval },
): Promise<void> {
  const open = files.map((file) => fileProvider([file], settings, options))
  const parts = { calendar: createExchangeCalendar(settings.scanner.exchange), clock: systemClock }
  for (const create of open) {
    await using file = create(parts)
    for await (const _chunk of file.scan({ chunkRows: 1 })) break
  }
}
