import { type SqlClient, isVarveError } from '@varve/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** A client under test and what to do afterwards. */
export interface SqlClientFixture {
  readonly client: SqlClient
  /** Removes what the fixture made; the client itself is closed by the suite. */
  cleanUp?(): Promise<void>
}

/**
 * What every `SqlClient` promises. `factory` gives a client of an empty database.
 *
 * @example describeSqlClientContract('pglite', () => ({ client: createPgliteClient({ directory: ':memory:' }) }))
 */
export function describeSqlClientContract(
  name: string,
  factory: () => SqlClientFixture | Promise<SqlClientFixture>,
): void {
  describe(`SqlClient contract: ${name}`, () => {
    let fixture: SqlClientFixture
    let client: SqlClient

    beforeAll(async () => {
      fixture = await factory()
      client = fixture.client
    })
    afterAll(async () => {
      await client.close()
      await fixture.cleanUp?.()
    })

    describe('values', () => {
      const one = async (sql: string, params?: readonly unknown[]): Promise<unknown> =>
        (await client.query<{ v: unknown }>(`SELECT ${sql} AS v`, params)).rows[0]?.v

      it.each<[string, unknown]>([
        ["'9223372036854775807'::int8", 9223372036854775807n],
        ['1::int2', 1],
        ['(-2147483648)::int4', -2147483648],
        ["'0.1'::float8", 0.1],
        ["'NaN'::float8", Number.NaN],
        ["'12345678901234.123456'::numeric", '12345678901234.123456'],
        ["'NaN'::numeric", 'NaN'],
        ["'2015-06-30'::date", '2015-06-30'],
        ["'2015-06-30 12:34:56.789123+02'::timestamptz", new Date('2015-06-30T10:34:56.789Z')],
        ["'0044-03-15 00:00:00+00 BC'::timestamptz", new Date('-000043-03-15T00:00:00Z')],
        ["'2015-06-30 12:34:56'::timestamp", '2015-06-30 12:34:56'],
        ['true', true],
        ['null::int8', null],
        ["'text'::text", 'text'],
        ["'18446744073709551615'::xid8", '18446744073709551615'],
        [`'{"a":[1,null,"x"]}'::jsonb`, { a: [1, null, 'x'] }],
        ["'null'::jsonb", null],
        ["'\\x00ff10'::bytea", Uint8Array.of(0, 255, 16)],
        ["'{1,null,9007199254740993}'::int8[]", [1n, null, 9007199254740993n]],
        ["'{1.50,2}'::numeric[]", ['1.50', '2']],
        ["'{2015-06-30}'::date[]", ['2015-06-30']],
        [`array['a,b','c"d','e\\f','NULL',null,'']`, ['a,b', 'c"d', 'e\\f', 'NULL', null, '']],
        [
          "'{{1,2},{3,4}}'::int4[]",
          [
            [1, 2],
            [3, 4],
          ],
        ],
        [`array['{"k":1}'::jsonb]`, [{ k: 1 }]],
        ["'{}'::text[]", []],
        ["'1 day'::interval", '1 day'],
        ["'5e5b5a5e-0000-4000-8000-000000000000'::uuid", '5e5b5a5e-0000-4000-8000-000000000000'],
      ])('%s', async (sql, expected) => {
        expect(await one(sql)).toEqual(expected)
      })

      it.each<[string, string, unknown]>([
        ['a bigint', 'int8', -9223372036854775808n],
        ['a bigint as numeric', 'numeric', 10n],
        ['a Date', 'timestamptz', new Date('1969-12-31T23:59:59.999Z')],
        ['a Date before our era', 'timestamptz', new Date('-000043-03-15T00:00:00Z')],
        ['a number', 'float8', 1e-7],
        ['an awkward string', 'text', `'"\\{},\u{1F4C8} NULL`],
        ['a boolean', 'bool', false],
        ['null', 'int4', null],
        ['bytes', 'bytea', Uint8Array.of(0, 1, 254, 255)],
        ['an object', 'jsonb', { nested: { list: [1, 'two', null] } }],
        ['an array of objects', 'jsonb', [{ a: 1 }, { b: [2] }]],
        [
          'an array of strings',
          'text[]',
          ['plain', 'with "quotes"', 'back\\slash', 'null', '', '{brace}', 'a,b', null],
        ],
        ['an array of bigints', 'int8[]', [1n, -9223372036854775808n]],
        ['an array of dates', 'timestamptz[]', [new Date(0), null]],
        ['an array of bytes', 'bytea[]', [Uint8Array.of(0, 255)]],
        ['an array of booleans', 'bool[]', [true, false]],
        ['an empty array', 'int4[]', []],
      ])('takes %s as %s parameter', async (_what, type, value) => {
        const back = await one(`$1::${type}`, [value])
        expect(back).toEqual(type === 'numeric' ? String(value) : value)
      })

      it('keeps every millisecond of a Date whatever the session or process zone', async () => {
        const { rows } = await client.query<{ text: string; zone: string }>(
          `SELECT to_char($1::timestamptz, 'YYYY-MM-DD HH24:MI:SS.MS') AS text, current_setting('TimeZone') AS zone`,
          [new Date('2015-03-08T07:00:00.001Z')],
        )
        expect(rows[0]).toEqual({ text: '2015-03-08 07:00:00.001', zone: 'UTC' })
      })

      it('counts rows', async () => {
        await client.exec('CREATE TABLE counted (n int)')
        expect((await client.query('INSERT INTO counted SELECT generate_series(1, 7)')).rowCount).toBe(7)
        expect((await client.query('UPDATE counted SET n = n WHERE n > $1', [4])).rowCount).toBe(3)
        const read = await client.query<{ n: number }>('SELECT n FROM counted ORDER BY n LIMIT 2')
        expect(read).toEqual({ rows: [{ n: 1 }, { n: 2 }], rowCount: 2 })
        expect((await client.query('DELETE FROM counted')).rowCount).toBe(7)
      })

      it('runs several statements with exec', async () => {
        await client.exec(
          'CREATE TABLE several (n int); INSERT INTO several VALUES (1); INSERT INTO several VALUES (2)',
        )
        expect(await one('(SELECT count(*) FROM several)')).toBe(2n)
      })
    })

    describe('transactions', () => {
      beforeAll(() => client.exec('CREATE TABLE ledger (id int PRIMARY KEY, n int NOT NULL)'))
      const ids = async (): Promise<number[]> =>
        (await client.query<{ id: number }>('SELECT id FROM ledger ORDER BY id')).rows.map((row) => row.id)

      it('commits what the work did and returns its result', async () => {
        const result = await client.tx(async (tx) => {
          await tx.query('INSERT INTO ledger VALUES (1, 1)')
          await tx.exec('INSERT INTO ledger VALUES (2, 1); INSERT INTO ledger VALUES (3, 1)')
          return 'done'
        })
        expect(result).toBe('done')
        expect(await ids()).toEqual([1, 2, 3])
      })

      it('rolls back when the work throws, with that very error', async () => {
        const boom = new Error('boom')
        await expect(
          client.tx(async (tx) => {
            await tx.query('INSERT INTO ledger VALUES (99, 1)')
            throw boom
          }),
        ).rejects.toBe(boom)
        expect(await ids()).not.toContain(99)
      })

      it('never reports a commit that was a rollback', async () => {
        const attempt = client.tx(async (tx) => {
          await tx.query('INSERT INTO ledger VALUES (98, 1)')
          await tx.query('SELECT 1/0').catch(() => undefined)
        })
        await expect(attempt).rejects.toMatchObject({
          code: 'DATABASE_QUERY_FAILED',
          details: { sqlState: '25P02' },
        })
        expect(await ids()).not.toContain(98)
      })

      it('keeps work after a savepoint was rolled back', async () => {
        await client.tx(async (tx) => {
          await tx.query('INSERT INTO ledger VALUES (10, 1)')
          await tx.exec('SAVEPOINT here')
          await tx.query('SELECT 1/0').catch(() => undefined)
          await tx.exec('ROLLBACK TO here')
          await tx.query('INSERT INTO ledger VALUES (11, 1)')
        })
        expect(await ids()).toEqual(expect.arrayContaining([10, 11]))
      })

      it('refuses a transaction that has ended', async () => {
        let kept: Parameters<Parameters<SqlClient['tx']>[0]>[0] | undefined
        await client.tx(async (tx) => {
          kept = tx
          await tx.query('SELECT 1')
        })
        await expect(kept!.query('SELECT 1')).rejects.toMatchObject({ code: 'DATABASE_TX_ENDED' })
      })

      it('runs transactions started together without losing an update', async () => {
        await client.exec('INSERT INTO ledger VALUES (1000, 0)')
        await Promise.all(
          Array.from({ length: 20 }, () =>
            client.tx(async (tx) => {
              const { rows } = await tx.query<{ n: number }>(
                'SELECT n FROM ledger WHERE id = 1000 FOR UPDATE',
              )
              await tx.query('UPDATE ledger SET n = $1 WHERE id = 1000', [rows[0]!.n + 1])
            }),
          ),
        )
        const { rows } = await client.query<{ n: number }>('SELECT n FROM ledger WHERE id = 1000')
        expect(rows[0]!.n).toBe(20)
      })
    })

    describe('errors', () => {
      it.each([
        ['SELECT * FROM no_such_table', '42P01', false],
        ['SELECT 1/0', '22012', false],
        ["DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$", '40001', true],
        ["DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END $$", '40P01', true],
        ["DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '08006'; END $$", '08006', true],
      ])('%s', async (sql, sqlState, retryable) => {
        const error: unknown = await client.query(sql).catch((thrown: unknown) => thrown)
        expect(isVarveError(error, 'DATABASE_QUERY_FAILED')).toBe(true)
        expect(error).toMatchObject({ retryable, details: { sqlState } })
      })

      it('names the constraint and keeps parameters out of the error', async () => {
        await client.exec('CREATE TABLE uniq (k text CONSTRAINT only_one UNIQUE)')
        await client.query('INSERT INTO uniq VALUES ($1)', ['s3cret'])
        const error: unknown = await client
          .query('INSERT INTO uniq VALUES ($1)', ['s3cret'])
          .catch((thrown: unknown) => thrown)
        expect(error).toMatchObject({ details: { sqlState: '23505', constraint: 'only_one', table: 'uniq' } })
        expect(JSON.stringify((error as { details: unknown }).details)).not.toContain('s3cret')
      })

      it.each([
        'BEGIN; CREATE TABLE half_open (n int)',
        'BEGIN; CREATE TABLE half_open (n int); SELECT 1/0; COMMIT',
      ])('leaves no transaction behind after exec of %s', async (text) => {
        await client.exec(text).catch(() => undefined)
        for (let turn = 0; turn < 8; turn++) {
          const { rows } = await client.query<{ v: boolean }>("SELECT to_regclass('half_open') IS NULL AS v")
          expect(rows).toEqual([{ v: true }])
        }
        expect(await client.tx(() => Promise.resolve('committed'))).toBe('committed')
      })

      it('goes on after an error', async () => {
        await client.query('SELECT nonsense').catch(() => undefined)
        expect((await client.query<{ v: number }>('SELECT 1 AS v')).rows).toEqual([{ v: 1 }])
      })
    })

    describe('copy', () => {
      beforeAll(() => client.exec('CREATE TABLE copied (n int8 NOT NULL, t text)'))
      const count = async (): Promise<bigint> =>
        (await client.query<{ n: bigint }>('SELECT count(*) AS n FROM copied')).rows[0]!.n

      it('copies binary rows in, in pieces cut anywhere, and out again', async () => {
        const rows = Array.from(
          { length: 50_001 },
          (_, n) => [BigInt(n), n % 7 === 0 ? null : `row ${n}\n"\\`] as const,
        )
        const data = binaryRows(rows)
        const copied = await client.copyIn('COPY copied FROM STDIN (FORMAT binary)', pieces(data, 4_093))
        expect(copied).toBe(rows.length)
        const { rows: sums } = await client.query<{ sum: string; nulls: bigint }>(
          'SELECT sum(n) AS sum, count(*) FILTER (WHERE t IS NULL) AS nulls FROM copied',
        )
        expect(sums[0]).toEqual({ sum: String((50_000 * 50_001) / 2), nulls: 7143n })
        const out: Uint8Array[] = []
        for await (const chunk of client.copyOut(
          'COPY (SELECT * FROM copied ORDER BY n) TO STDOUT (FORMAT binary)',
        )) {
          out.push(chunk)
        }
        expect(Buffer.concat(out).equals(data)).toBe(true)
        await client.exec('TRUNCATE copied')
      })

      it('copies nothing from an empty input', async () => {
        expect(await client.copyIn('COPY copied FROM STDIN (FORMAT binary)', [binaryRows([])])).toBe(0)
        expect(await client.copyIn('COPY copied FROM STDIN', [])).toBe(0)
      })

      it('copies text and CSV with line ends inside values', async () => {
        const encode = (text: string): Uint8Array[] => [...text].map((char) => Buffer.from(char))
        expect(await client.copyIn('COPY copied FROM STDIN', encode('1\tone\\\nmore\n2\t\\N\n'))).toBe(2)
        expect(await client.copyIn('COPY copied FROM STDIN (FORMAT csv)', encode('3,"a\n""b"""\n4,\n'))).toBe(
          2,
        )
        expect(
          await client.copyIn('COPY copied FROM STDIN (FORMAT csv, HEADER)', encode('n,t\n5,five')),
        ).toBe(1)
        const { rows } = await client.query('SELECT n, t FROM copied ORDER BY n')
        expect(rows).toEqual([
          { n: 1n, t: 'one\nmore' },
          { n: 2n, t: null },
          { n: 3n, t: 'a\n"b"' },
          { n: 4n, t: null },
          { n: 5n, t: 'five' },
        ])
        await client.exec('TRUNCATE copied')
      })

      it('takes part in the transaction around it', async () => {
        await expect(
          client.tx(async (tx) => {
            await tx.copyIn('COPY copied FROM STDIN (FORMAT binary)', [binaryRows([[1n, 'x']])])
            expect((await tx.query<{ n: bigint }>('SELECT count(*) AS n FROM copied')).rows[0]!.n).toBe(1n)
            throw new Error('undo')
          }),
        ).rejects.toThrow('undo')
        expect(await count()).toBe(0n)
      })

      it('loads all rows or none', async () => {
        await client.exec('ALTER TABLE copied ADD CONSTRAINT below CHECK (n < 45000)')
        const rows = Array.from({ length: 50_000 }, (_, n) => [BigInt(n), null] as const)
        await expect(
          client.copyIn('COPY copied FROM STDIN (FORMAT binary)', pieces(binaryRows(rows), 65_536)),
        ).rejects.toMatchObject({ code: 'DATABASE_QUERY_FAILED', details: { sqlState: '23514' } })
        expect(await count()).toBe(0n)
        await client.exec('ALTER TABLE copied DROP CONSTRAINT below')
      })

      it('passes on the error of the source, loads nothing and goes on', async () => {
        const broken = new Error('source broke')
        const data = binaryRows(Array.from({ length: 60_000 }, (_, n) => [BigInt(n), null] as const))
        const source = function* () {
          for (const [index, piece] of [...pieces(data, 65_536)].entries()) {
            if (index === 10) throw broken
            yield piece
          }
        }
        await expect(client.copyIn('COPY copied FROM STDIN (FORMAT binary)', source())).rejects.toBe(broken)
        expect(await count()).toBe(0n)
      })

      it('leaves a transaction in which a copy broke fit for rollback only', async () => {
        const source = function* () {
          yield binaryRows([[1n, 'x']]).subarray(0, 30)
          throw new Error('source broke')
        }
        await expect(
          client.tx(async (tx) => {
            await tx.query('INSERT INTO copied VALUES (7)')
            await tx.copyIn('COPY copied FROM STDIN (FORMAT binary)', source()).catch(() => undefined)
          }),
        ).rejects.toMatchObject({ details: { sqlState: '25P02' } })
        expect(await count()).toBe(0n)
      })

      it('stops on abort with the reason of the signal, loads nothing and goes on', async () => {
        const abort = new AbortController()
        const reason = new Error('enough')
        const data = binaryRows(Array.from({ length: 50_000 }, (_, n) => [BigInt(n), null] as const))
        const source = async function* () {
          yield data.subarray(0, 1_000_000)
          setImmediate(() => {
            abort.abort(reason)
          })
          await new Promise(() => undefined) // a source that never answers again
        }
        await expect(
          client.copyIn('COPY copied FROM STDIN (FORMAT binary)', source(), { signal: abort.signal }),
        ).rejects.toBe(reason)
        expect(await count()).toBe(0n)
        await expect(client.copyIn('COPY copied FROM STDIN', [], { signal: abort.signal })).rejects.toBe(
          reason,
        )
      })

      it('goes on after a reader left copyOut early and after a copyOut that failed', async () => {
        await client.exec(
          'INSERT INTO copied SELECT g, repeat(md5(g::text), 4) FROM generate_series(1, 20000) g',
        )
        for await (const chunk of client.copyOut('COPY copied TO STDOUT')) {
          expect(chunk.length).toBeGreaterThan(0)
          break
        }
        const left = await client.tx(async (tx) => {
          for await (const chunk of tx.copyOut('COPY copied TO STDOUT')) if (chunk.length > 0) break
          return (await tx.query<{ n: bigint }>('SELECT count(*) AS n FROM copied')).rows[0]!.n
        })
        expect(left).toBe(20_000n)
        const read = async (sql: string): Promise<string> => {
          const parts: Uint8Array[] = []
          for await (const chunk of client.copyOut(sql)) parts.push(chunk)
          return Buffer.concat(parts).toString()
        }
        await expect(
          read('COPY (SELECT 10 / (10000 - n) FROM copied ORDER BY n) TO STDOUT'),
        ).rejects.toMatchObject({
          details: { sqlState: '22012' },
        })
        expect(await read("COPY (SELECT 'TO STDOUT') TO STDOUT")).toBe('TO STDOUT\n')
        await client.exec('TRUNCATE copied')
      })
    })

    describe('listen', () => {
      it('delivers after the commit, not after a rollback, and not after stopping', async () => {
        const seen: string[] = []
        const stop = await client.listen('Odd "channel"', (payload) => seen.push(payload))
        await client.tx(async (tx) => {
          await tx.query(`SELECT pg_notify('Odd "channel"', 'committed')`)
          await tx.query('SELECT 1')
          expect(seen).toEqual([])
        })
        await client
          .tx(async (tx) => {
            await tx.query(`SELECT pg_notify('Odd "channel"', 'rolled back')`)
            throw new Error('undo')
          })
          .catch(() => undefined)
        await client.query(`SELECT pg_notify('Odd "channel"', 'last')`)
        await expect.poll(() => seen, { timeout: 5_000 }).toEqual(['committed', 'last'])
        await stop()
        await stop()
        await client.query(`SELECT pg_notify('Odd "channel"', 'too late')`)
        const marker: string[] = []
        const stopMarker = await client.listen('marker', (payload) => marker.push(payload))
        await client.query("SELECT pg_notify('marker', '1')")
        await expect.poll(() => marker, { timeout: 5_000 }).toEqual(['1'])
        expect(seen).toEqual(['committed', 'last'])
        await stopMarker()
      })

      it('serves two listeners of one channel, and goes on for one when the other stops or throws', async () => {
        const seen: string[] = []
        const stopBroken = await client.listen('shared', () => {
          throw new Error('handler broke')
        })
        const stop = await client.listen('shared', (payload) => seen.push(payload))
        await client.query("SELECT pg_notify('shared', '1')")
        await expect.poll(() => seen, { timeout: 5_000 }).toEqual(['1'])
        await stopBroken()
        await client.query("SELECT pg_notify('shared', '2')")
        await expect.poll(() => seen, { timeout: 5_000 }).toEqual(['1', '2'])
        await stop()
      })
    })

    describe('closing', () => {
      it('closes twice, refuses what comes after, and never opens by being created', async () => {
        const other = await factory()
        await other.client.query('SELECT 1')
        await other.client.close()
        await other.client.close()
        await expect(other.client.query('SELECT 1')).rejects.toMatchObject({ code: 'DATABASE_CLOSED' })
        await expect(other.client.tx(() => Promise.resolve(1))).rejects.toMatchObject({
          code: 'DATABASE_CLOSED',
        })
        await expect(other.client.listen('x', () => undefined)).rejects.toMatchObject({
          code: 'DATABASE_CLOSED',
        })
        await other.cleanUp?.()
        const unused = await factory()
        await unused.client[Symbol.asyncDispose]()
        await unused.cleanUp?.()
      })

      it('lets a transaction under way finish', async () => {
        const other = await factory()
        let closed: Promise<void> | undefined
        const result = await other.client.tx(async (tx) => {
          closed = other.client.close()
          return (await tx.query<{ v: number }>('SELECT 1 AS v')).rows[0]!.v
        })
        expect(result).toBe(1)
        await closed
        await other.cleanUp?.()
      })
    })
  })
}

/** Binary COPY of `(int8, text)` rows. */
function binaryRows(rows: readonly (readonly [bigint, string | null])[]): Buffer {
  const parts: Buffer[] = [Buffer.concat([Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1'), Buffer.alloc(8)])]
  for (const [n, text] of rows) {
    const bytes = text === null ? undefined : Buffer.from(text)
    const row = Buffer.alloc(2 + 4 + 8 + 4 + (bytes?.length ?? 0))
    row.writeInt16BE(2, 0)
    row.writeInt32BE(8, 2)
    row.writeBigInt64BE(n, 6)
    row.writeInt32BE(bytes?.length ?? -1, 14)
    bytes?.copy(row, 18)
    parts.push(row)
  }
  parts.push(Buffer.from([0xff, 0xff]))
  return Buffer.concat(parts)
}

function* pieces(data: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size)
}
