import { assertStartup, runStartupChecks } from '@varve/runtime'
import { startupChecks, type StartupOptions } from './startupChecks.ts'

/**
 * Passes when everything a start needs is right.
 *
 * @throws `STARTUP_REFUSED` listing every check that failed, each with what to do
 */
export async function refuseUnsafeStart(options: StartupOptions): Promise<void> {
  const { settings, signal, clock } = options
  const report = await runStartupChecks(startupChecks(options), {
    timeoutMs: Math.max(settings.startup.timeoutMs, settings.security.credentials.timeoutMs),
    ...(signal === undefined ? {} : { signal }),
    ...(clock === undefined ? {} : { clock }),
  })
  assertStartup(report)
}
