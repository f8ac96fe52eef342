import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { channelNames, type Clock, errorMessage, type Secret, systemClock } from '@varve/core'
import type { Logger } from '@varve/monitoring'

export interface Alert {
  /** What is the same thing: alerts of one key are sent once in a while, not every time. */
  readonly key: string
  readonly severity: 'warning' | 'critical'
  readonly message: string
}

export interface AlertOptions {
  readonly settings: {
    readonly webhookUrl?: Secret | undefined
    readonly repeatAfterMs: number
    readonly timeoutMs: number
  }
  readonly logger: Logger
  readonly clock?: Clock
  readonly fetch?: typeof fetch
}

/** Takes alerts from the channel `varve:alert` until it is closed. */
export interface AlertDelivery extends AsyncDisposable {
  /** Alerts taken, the ones held back as repetitions included. */
  readonly raised: number
  /** Waits for what is on its way, then takes no more. Closing twice is fine. */
  close(): Promise<void>
}

/**
 * Writes every alert as a log line and posts it to the webhook as `{ key, severity, message, at }`; the same key at
 * most once in `repeatAfterMs`. A webhook that fails costs a log line and nothing else.
 */
export function deliverAlerts(options: AlertOptions): AlertDelivery {
  const { settings, logger, clock = systemClock, fetch: send = fetch } = options
  const last = new Map<string, number>()
  const flying = new Set<Promise<void>>()
  let raised = 0
  let open = true

  const post = async (alert: Alert, url: Secret): Promise<void> => {
    const done = new AbortController()
    const late = new AbortController()
    clock.sleep(settings.timeoutMs, { signal: done.signal }).then(
      () => late.abort(),
      () => undefined,
    )
    try {
      const response = await send(url.reveal(), {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ ...alert, at: new Date(clock.now()).toISOString() }),
        redirect: 'error',
        signal: late.signal,
      })
      await response.body?.cancel()
      if (!response.ok) throw new Error(`the webhook answered ${response.status}`)
    } catch (error) {
      // The text of a failed request may name the URL, and the URL is a secret.
      const reason = errorMessage(error).replaceAll(url.reveal(), '[secret]')
      logger.error({ alert: alert.key, reason }, 'an alert could not be delivered')
    } finally {
      done.abort()
    }
  }

  const take = (message: unknown): void => {
    const { key, severity, message: text } = message as Alert
    const alert: Alert = { key, severity, message: text }
    raised++
    const now = clock.now()
    const before = last.get(key)
    if (before !== undefined && now - before < settings.repeatAfterMs) return
    last.set(key, now)
    logger[severity === 'critical' ? 'error' : 'warn']({ alert: key, severity }, text)
    if (settings.webhookUrl === undefined) return
    const delivery = post(alert, settings.webhookUrl).finally(() => flying.delete(delivery))
    flying.add(delivery)
  }

  const close = async (): Promise<void> => {
    if (open) unsubscribe(channelNames.alert, take)
    open = false
    await Promise.all(flying)
  }
  subscribe(channelNames.alert, take)
  return {
    get raised() {
      return raised
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
