import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { channelNames } from '@varve/core'

interface Progress {
  readonly stage: string
  readonly done: number
  readonly total: number | null
  readonly unit: string
}

const STAGES: Readonly<Record<string, string>> = {
  list: 'listing symbols',
  refresh: 'daily bars',
  scan: 'judging layers',
  backfill: 'backfilling',
  gaps: 'healing gaps',
  retention: 'applying retention',
  import: 'importing',
}

/** Lines are redrawn in place on a terminal; elsewhere one is written at most this often, milliseconds. */
const TERMINAL_EVERY_MS = 100
const PLAIN_EVERY_MS = 5000

/** Shows progress with rate and time left on standard error, for work that takes over a second. Returns a function that ends it. */
export function showProgress(): () => void {
  const terminal = process.stderr.isTTY === true
  const began = performance.now()
  let stage = ''
  let stageBegan = began
  let written = 0
  const onProgress = (message: unknown) => {
    const { stage: name, done, total, unit } = message as Progress
    const now = performance.now()
    if (name !== stage) {
      stage = name
      stageBegan = now
      written = terminal ? 0 : now
    }
    if (now - began < 1000 || now - written < (terminal ? TERMINAL_EVERY_MS : PLAIN_EVERY_MS)) return
    written = now
    const text = describe(STAGES[name] ?? name, done, total, unit, (now - stageBegan) / 1000)
    process.stderr.write(terminal ? `\r\u001b[2K${text}` : `${text}\n`)
  }
  subscribe(channelNames.progress, onProgress)
  return () => {
    unsubscribe(channelNames.progress, onProgress)
    if (terminal) process.stderr.write('\r\u001b[2K')
  }
}

function describe(name: string, done: number, total: number | null, unit: string, seconds: number): string {
  if (done === 0) return `${name} …`
  const rate = seconds > 0 ? done / seconds : 0
  const share =
    total === null || total === 0
      ? ''
      : ` of ${total.toLocaleString('en-US')} (${Math.floor((done / total) * 100)} %)`
  const left = total === null || rate === 0 ? '' : `, ${duration((total - done) / rate)} left`
  return `${name}: ${done.toLocaleString('en-US')}${share} ${unit}, ${Math.round(rate).toLocaleString('en-US')}/s${left}`
}

export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.max(0, Math.ceil(seconds))} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`
}
