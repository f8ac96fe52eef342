import { configStoreOptionsSchema } from '@varve/config'
import { lockOptionsSchema, shutdownOptionsSchema, taskOptionsSchema } from '@varve/runtime'
import { z } from 'zod'

const { pollMs, settleMs, loadAttempts } = configStoreOptionsSchema.shape

/** The long-running service. */
export const daemonSettingsSchema = z.strictObject({
  host: z.string().min(1).default('127.0.0.1').describe('Address to listen on'),
  port: z.int().min(0).max(65_535).default(8080).describe('Port to listen on; 0 takes a free one'),
  afterCloseMinutes: z
    .int()
    .min(0)
    .default(30)
    .describe("Minutes after a session's close at which a cycle starts"),
  pollMs: z
    .int()
    .min(100)
    .default(5000)
    .describe('How often schedules and the event log are looked at, milliseconds'),
  reload: z
    .strictObject({ pollMs, settleMs, loadAttempts })
    .prefault({})
    .describe('Taking up changes of configuration files'),
  shutdown: shutdownOptionsSchema
    .omit({ exitAs: true })
    .prefault({})
    .describe('Ending in order after SIGTERM or SIGINT'),
  tasks: taskOptionsSchema.prefault({}).describe('Background tasks'),
  lock: lockOptionsSchema
    .prefault({})
    .describe('The lock that lets one daemon at a time run cycles on a shared database'),
})
