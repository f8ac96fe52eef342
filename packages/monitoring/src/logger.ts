import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { channelNames } from '@varve/core'
import { destination, pino, type DestinationStream, type Logger as PinoLogger } from 'pino'

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]
export type Logger = PinoLogger

export interface LoggerOptions {
  readonly level: LogLevel
  /** Put on every line as `component`. */
  readonly component: string
  /** Where lines go. @defaultValue standard error */
  readonly destination?: DestinationStream
}

/** Fields that never reach a log line, wherever they stand. */
const REDACTED = ['apiKey', 'password', 'secret', 'token', 'authorization', 'connectionString'].flatMap(
  (name) => [name, `*.${name}`, `*.*.${name}`],
)

/** One JSON object per line: `time` (ISO, UTC), `level`, `component`, `msg` and the call's own fields. */
export function createLogger(options: LoggerOptions): Logger {
  return pino(
    {
      level: options.level,
      base: null,
      // A line's own `component` wins over the logger's.
      mixin: () => ({ component: options.component }),
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: REDACTED, censor: '[redacted]' },
      serializers: { error: pino.stdSerializers.err },
    },
    options.destination ?? destination({ fd: 2, sync: true }),
  )
}

interface LogMessage {
  readonly level?: 'debug' | 'info' | 'warn' | 'error'
  readonly component?: string
  readonly message?: string
}

/** Writes what libraries publish on the log channel. Returns a function that stops it. */
export function forwardLogChannel(logger: Logger): () => void {
  const onMessage = (message: unknown) => {
    const { level = 'info', message: text, ...fields } = message as LogMessage & Record<string, unknown>
    logger[level](fields, text ?? '')
  }
  subscribe(channelNames.log, onMessage)
  return () => {
    unsubscribe(channelNames.log, onMessage)
  }
}
