import { type Clock, checkedOptions, systemClock } from '@varve/core'
import { type RedisStoreSettings, redisStoreOptionsSchema } from '../options.ts'
import { type StateEntry, type VersionedStateStore, byKey } from '../state/VersionedStateStore.ts'
import { type RedisScripting, runScriptInTime } from './scripting.ts'

export interface RedisStateStoreOptions extends RedisStoreSettings {
  /** An `ioredis` client, best made with `redisClientOptions()`. Closing the store leaves it open. */
  readonly client: RedisScripting
  /** Limits calls; what ends when is decided by the server's clock. @defaultValue `systemClock` */
  readonly clock?: Clock
}

// One hash per namespace; a field holds "VERSION END TEXT", END in milliseconds since 1970 or 0 for never. A hash, not
// a key per document, because then a whole namespace can be read and replaced at one moment.
const COMMON = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function parse(raw)
  if not raw then return nil end
  local version, ends, text = string.match(raw, '^(%d+) (%d+) (.*)$')
  ends = tonumber(ends)
  if ends ~= 0 and ends <= now then return nil end
  return version, ends == 0 and '' or string.format('%.0f', ends - now), text
end
local function write(space, counter, key, text, ttl)
  local version = string.format('%.0f', redis.call('INCR', counter))
  local ends = ttl == '' and '0' or string.format('%.0f', now + tonumber(ttl))
  redis.call('HSET', space, key, version .. ' ' .. ends .. ' ' .. text)
  return version
end`

const GET = `${COMMON}
local version, left, text = parse(redis.call('HGET', KEYS[1], ARGV[1]))
if not version then return false end
return {version, left, text}`

// ARGV: key, text, ttl or '', expected version or '', namespace
const PUT = `${COMMON}
local version = parse(redis.call('HGET', KEYS[1], ARGV[1]))
if ARGV[4] ~= '' and (version or '0') ~= ARGV[4] then return false end
redis.call('SADD', KEYS[3], ARGV[5])
return write(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3])`

const DELETE = `${COMMON}
local version = parse(redis.call('HGET', KEYS[1], ARGV[1]))
if not version or (ARGV[2] ~= '' and version ~= ARGV[2]) then return 0 end
return redis.call('HDEL', KEYS[1], ARGV[1])`

// What has ended is swept out on the way.
const SNAPSHOT = `${COMMON}
local found = {}
for place, space in ipairs(KEYS) do
  local all = redis.call('HGETALL', space)
  local entries = {}
  for at = 1, #all, 2 do
    local version, left, text = parse(all[at + 1])
    if version then
      entries[#entries + 1] = {all[at], version, left, text}
    else
      redis.call('HDEL', space, all[at])
    end
  end
  found[place] = entries
end
return found`

// KEYS: counter, names, then a hash per namespace. ARGV: per namespace its name, the number of records, then key, text
// and ttl of each.
const REPLACE = `${COMMON}
local at = 1
for place = 3, #KEYS do
  redis.call('DEL', KEYS[place])
  redis.call('SADD', KEYS[2], ARGV[at])
  local count = tonumber(ARGV[at + 1])
  at = at + 2
  for record = 1, count do
    write(KEYS[place], KEYS[1], ARGV[at], ARGV[at + 1], ARGV[at + 2])
    at = at + 3
  end
end
return 1`

const NAMESPACES = `
local found = {}
for _, name in ipairs(redis.call('SMEMBERS', KEYS[1])) do found[#found + 1] = name end
return found`

/** Documents in Redis, shared by every process that uses the same prefix. As durable as that server is. */
export function createRedisStateStore(options: RedisStateStoreOptions): VersionedStateStore {
  const { client, clock = systemClock, ...data } = options
  const settings = checkedOptions(redisStoreOptionsSchema, data, 'the Redis state store')
  const limits = { client, clock, timeoutMs: settings.operationTimeoutMs }
  const root = `${settings.prefix}:state:{${settings.prefix}}`
  const counter = `${root}:version`
  const names = `${root}:namespaces`
  const space = (namespace: string): string => `${root}:of:${namespace}`
  const whole = (ms: number | undefined): string | number =>
    ms === undefined ? '' : Math.max(1, Math.ceil(ms))
  const toEntry = (key: string, version: string, left: string, text: string): StateEntry => ({
    key,
    text,
    version: Number(version),
    remainingMs: left === '' ? undefined : Number(left),
  })

  const snapshot = async (namespaces: readonly string[]): Promise<Map<string, StateEntry[]>> => {
    if (namespaces.length === 0) return new Map()
    const found = (await runScriptInTime(limits, SNAPSHOT, namespaces.map(space))) as [
      string,
      string,
      string,
      string,
    ][][]
    return new Map(
      namespaces.map((name, place) => [
        name,
        (found[place] ?? [])
          .map(([key, version, left, text]) => toEntry(key, version, left, text))
          .sort(byKey),
      ]),
    )
  }
  const close = (): Promise<void> => Promise.resolve()
  return {
    async get(namespace, key) {
      const found = (await runScriptInTime(limits, GET, [space(namespace)], [key])) as
        [string, string, string] | null
      return found === null ? undefined : toEntry(key, ...found)
    },
    async put(namespace, key, text, { expectedVersion, ttlMs } = {}) {
      const version = (await runScriptInTime(
        limits,
        PUT,
        [space(namespace), counter, names],
        [key, text, whole(ttlMs), expectedVersion ?? '', namespace],
      )) as string | null
      return version === null ? undefined : Number(version)
    },
    async delete(namespace, key, { expectedVersion } = {}) {
      return (await runScriptInTime(limits, DELETE, [space(namespace)], [key, expectedVersion ?? ''])) === 1
    },
    snapshot,
    async replace(content) {
      const namespaces = [...content.keys()]
      await runScriptInTime(
        limits,
        REPLACE,
        [counter, names, ...namespaces.map(space)],
        namespaces.flatMap((name) => {
          const records = content.get(name) ?? []
          return [
            name,
            records.length,
            ...records.flatMap(({ key, text, ttlMs }) => [key, text, whole(ttlMs)]),
          ]
        }),
      )
    },
    async namespaces() {
      const known = (await runScriptInTime(limits, NAMESPACES, [names])) as string[]
      const found = await snapshot(known)
      return known.filter((name) => (found.get(name) ?? []).length > 0).sort()
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
