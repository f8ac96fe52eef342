import { type Clock, VarveError, checkedOptions, errorMessage, systemClock } from '@varve/core'
import type { z } from 'zod'
import { withDeadline } from '../deadline.ts'
import { startupOptionsSchema } from '../options.ts'

export type CheckStatus = 'ok' | 'warning' | 'failed' | 'skipped'

/** What a check found. */
export interface CheckFinding {
  readonly status: CheckStatus
  readonly message: string
  /** What to do about it. */
  readonly remedy?: string
}

/** One condition of a safe start. A thrown error counts as failed. */
export interface StartupCheck {
  readonly name: string
  /** A check that is not critical warns where it would fail. @defaultValue `true` */
  readonly critical?: boolean
  /** Names of checks this one makes no sense without; it is skipped when one of them failed. */
  readonly needs?: readonly string[]
  run(options: { readonly signal: AbortSignal; readonly clock: Clock }): CheckFinding | Promise<CheckFinding>
}

export interface CheckResult {
  readonly name: string
  readonly critical: boolean
  readonly status: CheckStatus
  readonly message: string
  readonly remedy: string | undefined
  readonly durationMs: number
}

export interface StartupReport {
  /** False when anything failed; warnings do not count. */
  readonly ok: boolean
  /** In the order of the checks. */
  readonly results: readonly CheckResult[]
}

export interface RunStartupChecksOptions extends z.input<typeof startupOptionsSchema> {
  readonly signal?: AbortSignal
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

/**
 * Runs every check, side by side except where one needs another, and reports every failure, not only the first.
 * Rejects with the signal's reason when aborted.
 *
 * @throws `STARTUP_CHECK_DUPLICATE`
 */
export async function runStartupChecks(
  checks: readonly StartupCheck[],
  options: RunStartupChecksOptions = {},
): Promise<StartupReport> {
  const { signal, clock = systemClock, ...data } = options
  const { timeoutMs } = checkedOptions(startupOptionsSchema, data, 'the start-up checks')
  const names = checks.map(({ name }) => name)
  const twice = names.filter((name, index) => names.indexOf(name) !== index)
  if (twice.length > 0) {
    throw new VarveError(`two start-up checks have the name "${twice[0] ?? ''}"; name each differently`, {
      code: 'STARTUP_CHECK_DUPLICATE',
      details: { names: twice },
    })
  }
  const running = new Map<string, Promise<CheckResult>>()
  const runOne = async (check: StartupCheck): Promise<CheckResult> => {
    const { name, critical = true, needs = [] } = check
    const result = (finding: CheckFinding, durationMs: number): CheckResult => ({
      name,
      critical,
      status: finding.status === 'failed' && !critical ? 'warning' : finding.status,
      message: finding.message,
      remedy: finding.remedy,
      durationMs,
    })
    for (const needed of needs) {
      // A check can only need an earlier one, so that two cannot wait for each other.
      const before = await running.get(needed)
      if (before === undefined || before.status === 'failed' || before.status === 'skipped') {
        return result({ status: 'skipped', message: `needs "${needed}", which did not pass` }, 0)
      }
    }
    const from = clock.monotonicMs()
    try {
      const finding = await withDeadline(
        {
          clock,
          timeoutMs,
          ...(signal === undefined ? {} : { signal }),
          expired: () => new Error(`no answer within ${timeoutMs} ms`),
        },
        (own) => check.run({ signal: own, clock }),
      )
      return result(finding, clock.monotonicMs() - from)
    } catch (error) {
      signal?.throwIfAborted()
      return result({ status: 'failed', message: errorMessage(error) }, clock.monotonicMs() - from)
    }
  }
  for (const check of checks) {
    const run = runOne(check)
    run.catch(() => undefined)
    running.set(check.name, run)
  }
  const results = await Promise.all(running.values())
  return { ok: results.every(({ status }) => status !== 'failed'), results }
}

/** The report as lines of text, one per check, each with what to do. */
export function formatStartupReport(report: StartupReport): string {
  return report.results
    .map(({ name, status, message, remedy }) => {
      const help = remedy === undefined || status === 'ok' ? '' : `; ${remedy}`
      return `${status.padEnd('skipped'.length)} ${name}: ${message}${help}`
    })
    .join('\n')
}

/** Passes a good report. @throws `STARTUP_REFUSED` listing everything that failed */
export function assertStartup(report: StartupReport): void {
  if (report.ok) return
  const failed = report.results.filter(({ status }) => status === 'failed')
  throw new VarveError(
    `start refused, ${failed.length} of ${report.results.length} checks failed:\n${formatStartupReport({ ok: false, results: failed })}`,
    { code: 'STARTUP_REFUSED', details: { failed: failed.map(({ name, message }) => ({ name, message })) } },
  )
}
