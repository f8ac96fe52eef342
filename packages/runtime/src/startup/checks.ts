import { type SqlClient, checkedOptions, errorMessage } from '@varve/core'
import { randomUUID } from 'node:crypto'
import { chmod, mkdir, open, rm, stat, statfs } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import type { z } from 'zod'
import { diskSpaceCheckSchema, memoryCheckSchema, sqlCheckSchema } from '../options.ts'
import type { StartupCheck } from './runStartupChecks.ts'

interface CheckOptions {
  /** @defaultValue what is checked */
  readonly name?: string
  /** @defaultValue `true` */
  readonly critical?: boolean
}

export interface PathCheckOptions extends CheckOptions {
  readonly path: string
  /** The folder holds secrets: nobody but its owner may look inside. @defaultValue `false` */
  readonly secret?: boolean
}

/**
 * A folder exists (it is created if missing), can be written, and, when it holds secrets, is closed to others: one
 * made here gets mode 0700, one found open fails.
 */
export function pathCheck(options: PathCheckOptions): StartupCheck {
  const { path, secret = false, name = `folder ${path}`, critical = true } = options
  return {
    name,
    critical,
    async run() {
      const made = await mkdir(path, { recursive: true, mode: secret ? 0o700 : 0o777 })
      if (made !== undefined && secret) await chmod(path, 0o700)
      const info = await stat(path)
      if (!info.isDirectory()) {
        return { status: 'failed', message: `${path} is not a folder`, remedy: 'move the file away' }
      }
      const probe = join(path, `.write-check-${randomUUID()}`)
      try {
        await (await open(probe, 'wx', 0o600)).close()
        await rm(probe)
      } catch (error) {
        return {
          status: 'failed',
          message: `cannot write in ${path}: ${errorMessage(error)}`,
          remedy: 'give this user the right to write there, or name another folder',
        }
      }
      const others = info.mode & 0o077
      // Windows has no such bits.
      if (secret && others !== 0 && process.platform !== 'win32') {
        const mode = (info.mode & 0o777).toString(8).padStart('0700'.length, '0')
        return {
          status: 'failed',
          message: `${path} holds secrets and is open to others (mode ${mode})`,
          remedy: `chmod 700 ${path}`,
        }
      }
      return { status: 'ok', message: made === undefined ? 'writable' : 'created' }
    },
  }
}

export interface MemoryCheckOptions extends CheckOptions, z.input<typeof memoryCheckSchema> {
  /** Memory of the machine or of the container, bytes. @defaultValue the smaller of the two */
  readonly totalBytes?: () => number
  /** Memory still free, bytes. @defaultValue what the process may still take */
  readonly freeBytes?: () => number
}

/** Enough memory at all, and enough of it free for the cache. */
export function memoryCheck(options: MemoryCheckOptions = {}): StartupCheck {
  const { name = 'memory', critical = true, totalBytes = memoryLimit, ...rest } = options
  const { freeBytes = () => process.availableMemory(), ...data } = rest
  const { minimumBytes, recommendedBytes, cacheBytes } = checkedOptions(memoryCheckSchema, data, name)
  return {
    name,
    critical,
    run() {
      const total = totalBytes()
      if (total < minimumBytes) {
        return {
          status: 'failed',
          message: `${gigabytes(total)} of memory, at least ${gigabytes(minimumBytes)} are needed`,
          remedy: 'use a larger machine, or raise the limit of the container',
        }
      }
      const free = freeBytes()
      if (free < cacheBytes) {
        return {
          status: 'warning',
          message: `${gigabytes(free)} of memory are free, the cache may take ${gigabytes(cacheBytes)}`,
          remedy: 'end other programs, or make the cache smaller',
        }
      }
      if (total < recommendedBytes) {
        return {
          status: 'warning',
          message: `${gigabytes(total)} of memory, ${gigabytes(recommendedBytes)} are recommended`,
          remedy: 'expect a large universe to run slowly',
        }
      }
      return { status: 'ok', message: `${gigabytes(total)}, ${gigabytes(free)} free` }
    },
  }
}

/** What the machine has, or what the container allows if that is less; 0 means no limit. */
function memoryLimit(): number {
  const allowed = process.constrainedMemory()
  return allowed > 0 ? Math.min(totalmem(), allowed) : totalmem()
}

export interface DiskSpaceCheckOptions extends CheckOptions, z.input<typeof diskSpaceCheckSchema> {
  /** A folder on the disk in question. */
  readonly path: string
  /** Bytes a program without privileges may still write. @defaultValue asks the file system */
  readonly freeBytes?: (path: string) => Promise<number>
}

/** Enough room on the disk of a folder. */
export function diskSpaceCheck(options: DiskSpaceCheckOptions): StartupCheck {
  const { path, name = `disk of ${path}`, critical = true, freeBytes = freeOnDisk, ...data } = options
  const { minimumBytes, recommendedBytes } = checkedOptions(diskSpaceCheckSchema, data, name)
  return {
    name,
    critical,
    async run() {
      const free = await freeBytes(path)
      const enough = free >= Math.max(minimumBytes, recommendedBytes)
      return {
        status: free < minimumBytes ? 'failed' : enough ? 'ok' : 'warning',
        message: enough
          ? `${gigabytes(free)} free`
          : `${gigabytes(free)} free, at least ${gigabytes(minimumBytes)} are needed and ${gigabytes(recommendedBytes)} recommended`,
        remedy: 'free some space, or name a folder on a larger disk',
      }
    },
  }
}

async function freeOnDisk(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path)
  return bavail * bsize
}

export interface SqlCheckOptions extends CheckOptions, z.input<typeof sqlCheckSchema> {
  readonly sql: SqlClient
}

/** The database answers, is recent enough, its clock agrees with ours, and tables can be created. */
export function sqlCheck(options: SqlCheckOptions): StartupCheck {
  const { sql, name = 'database', critical = true, ...data } = options
  const { minimumServerVersion, clockSkewMs } = checkedOptions(sqlCheckSchema, data, name)
  return {
    name,
    critical,
    async run({ clock }) {
      const sentAt = clock.now()
      const { rows } = await sql.query<{ version: number; now: number; creates: boolean | null }>(
        `SELECT current_setting('server_version_num')::int / 10000 AS version,
          (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now,
          has_schema_privilege(current_schema(), 'CREATE') AS creates`,
      )
      // The answer was made somewhere between sending and receiving.
      const receivedAt = clock.now()
      const { version, now, creates } = rows[0]!
      if (version < minimumServerVersion) {
        return {
          status: 'failed',
          message: `Postgres ${version}, at least ${minimumServerVersion} is needed`,
          remedy: 'update the server',
        }
      }
      if (creates !== true) {
        return {
          status: 'failed',
          message: 'this user may not create tables',
          remedy: 'GRANT CREATE ON SCHEMA to the user, or connect as its owner',
        }
      }
      const skewMs = Math.max(sentAt - now, now - receivedAt, 0)
      if (skewMs > clockSkewMs) {
        return {
          status: 'warning',
          message: `the clocks of the database and of this machine differ by ${Math.round(skewMs)} ms`,
          remedy: 'let both follow the same time server',
        }
      }
      return { status: 'ok', message: `Postgres ${version}` }
    },
  }
}

export interface CredentialsCheckOptions extends CheckOptions {
  /** Names of variables that must be set. */
  readonly variables: readonly string[]
  /** @defaultValue `process.env` */
  readonly environment?: Readonly<Record<string, string | undefined>>
}

/** Every secret is there. Says names, never values. */
export function credentialsCheck(options: CredentialsCheckOptions): StartupCheck {
  const { variables, environment = process.env, name = 'credentials', critical = true } = options
  return {
    name,
    critical,
    run() {
      const missing = variables.filter((variable) => (environment[variable] ?? '').trim() === '')
      return missing.length === 0
        ? { status: 'ok', message: variables.length === 0 ? 'none needed' : `${variables.join(', ')} set` }
        : {
            status: 'failed',
            message: `not set: ${missing.join(', ')}`,
            remedy: 'set them in the environment before starting',
          }
    },
  }
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`
}
