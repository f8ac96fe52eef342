import type { SqlEngine } from '@varve/core'
import type { StatementType } from './statementShape.ts'

/** How often something ran and how long it took. Times include waiting for a connection. */
export interface QueryFigures {
  readonly count: number
  readonly totalMs: number
  readonly meanMs: number
  readonly p50Ms: number
  readonly p95Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** Rows returned or changed. */
  readonly rows: number
  readonly errors: number
  /** Calls slower than `slowMs`. */
  readonly slow: number
}

/** Figures of one name. */
export interface QueryStats extends QueryFigures {
  readonly name: string
  readonly type: StatementType
  readonly priority: string
  /** The statement without its values. */
  readonly shape: string
  /** How many calls failed, by error code; `DATABASE_QUERY_FAILED 23505` names the SQLSTATE too. */
  readonly errorsByCode: Readonly<Record<string, number>>
}

/** One slow call. */
export interface SlowQuery {
  readonly name: string
  /** When it ended, ISO instant. */
  readonly at: string
  readonly durationMs: number
  readonly shape: string
  /** What the plan of the statement suggests; there after `advise()`. */
  readonly advice?: readonly string[]
}

/** What `QueryTracking.report` returns: plain JSON. */
export interface QueryReport {
  readonly engine: SqlEngine
  /** Since when it counts, ISO instant. */
  readonly since: string
  readonly slowMs: number
  /** How far a percentile may be off, as a fraction of it. */
  readonly relativeError: number
  readonly total: QueryFigures
  /** Most time first. */
  readonly queries: readonly QueryStats[]
  readonly byType: Readonly<Record<string, QueryFigures>>
  readonly byPriority: Readonly<Record<string, QueryFigures>>
  /** Latest first. */
  readonly slowest: readonly SlowQuery[]
  /** One sentence each. */
  readonly recommendations: readonly string[]
}

const COLUMNS = ['name', 'type', 'calls', 'total ms', 'mean', 'p95', 'p99', 'max', 'rows', 'errors', 'slow']

function cellsOf(stats: QueryStats): string[] {
  const { name, type, count, totalMs, meanMs, p95Ms, p99Ms, maxMs, rows, errors, slow } = stats
  const ms = (value: number): string => value.toFixed(value < 10 ? 2 : 0)
  return [
    name,
    type,
    String(count),
    ms(totalMs),
    ms(meanMs),
    ms(p95Ms),
    ms(p99Ms),
    ms(maxMs),
    String(rows),
    String(errors),
    String(slow),
  ]
}

/** The report as a table of text, or as an HTML fragment (a table and lists, no style, everything escaped). */
export function formatQueryReport(report: QueryReport, format: 'text' | 'html'): string {
  const table = report.queries.map(cellsOf)
  const slow = report.slowest.map(
    ({ at, name, durationMs, shape, advice = [] }) =>
      `${at} ${name} ${Math.round(durationMs)} ms: ${[shape, ...advice].join(' — ')}`,
  )
  if (format === 'html') {
    const row = (cells: readonly string[], tag: 'td' | 'th'): string =>
      `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join('')}</tr>`
    const list = (title: string, items: readonly string[]): string =>
      items.length === 0
        ? ''
        : `<h3>${title}</h3><ul>${items.map((item) => `<li>${escapeHtml(item)}</li>`).join('')}</ul>`
    return (
      `<table><thead>${row(COLUMNS, 'th')}</thead><tbody>${table.map((cells) => row(cells, 'td')).join('')}</tbody></table>` +
      list('Slow', slow) +
      list('Recommendations', report.recommendations)
    )
  }
  const lines = [COLUMNS, ...table]
  const widths = COLUMNS.map((_, column) => Math.max(...lines.map((cells) => cells[column]!.length)))
  const text = lines.map((cells) =>
    cells
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd(),
  )
  const section = (title: string, items: readonly string[]): string[] =>
    items.length === 0 ? [] : ['', title, ...items.map((item) => `- ${item}`)]
  return [...text, ...section('Slow', slow), ...section('Recommendations', report.recommendations)].join('\n')
}

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
