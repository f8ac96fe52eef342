import { type BarSource, type SqlTx, VarveError } from '@varve/core'

/** One text for a source: `polygon/sip/raw`. */
export function sourceName(source: BarSource): string {
  return `${source.provider}/${source.feed}/${source.adjustment}`
}

/** A row of `sources` as read back. */
export interface SourceRow {
  readonly id: number
  readonly provider: string
  readonly feed: string
  readonly adjustment: string
}

/** The source a row stands for. */
export function toBarSource(row: Omit<SourceRow, 'id'>): BarSource {
  const { provider, feed, adjustment } = row
  if (adjustment !== 'raw' && adjustment !== 'split' && adjustment !== 'all') {
    throw new VarveError(`table sources holds the adjustment "${adjustment}"; expected raw, split or all`, {
      code: 'STORAGE_CORRUPT',
      details: { found: adjustment },
    })
  }
  return { provider, feed, adjustment }
}

/** Ids of sources by {@link sourceName}, adding those that are new. */
export async function ensureSources(tx: SqlTx, sources: Iterable<BarSource>): Promise<Map<string, number>> {
  const wanted = new Map<string, BarSource>()
  for (const source of sources) wanted.set(sourceName(source), source)
  const found = new Map<string, number>()
  if (wanted.size === 0) return found
  const list = [...wanted.values()]
  const params = [list.map((s) => s.provider), list.map((s) => s.feed), list.map((s) => s.adjustment)]
  const load = async () => {
    const { rows } = await tx.query<SourceRow>(
      `SELECT s.id, s.provider, s.feed, s.adjustment FROM sources s
       JOIN unnest($1::text[], $2::text[], $3::text[]) AS w(provider, feed, adjustment)
         ON (s.provider, s.feed, s.adjustment) = (w.provider, w.feed, w.adjustment)`,
      params,
    )
    for (const row of rows) found.set(sourceName(toBarSource(row)), row.id)
  }
  await load()
  if (found.size < wanted.size) {
    await tx.query(
      `INSERT INTO sources (provider, feed, adjustment)
       SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS w(provider, feed, adjustment)
       WHERE NOT EXISTS (SELECT FROM sources s
         WHERE (s.provider, s.feed, s.adjustment) = (w.provider, w.feed, w.adjustment))
       ORDER BY 1, 2, 3
       ON CONFLICT DO NOTHING`,
      params,
    )
    await load()
  }
  return found
}
