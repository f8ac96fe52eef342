import { sqlName } from '@varve/core'
import type { ColumnKind } from './columns.ts'
import { DATASET_NAMES, type Dataset, type RecordColumn, datasetDefinition } from './datasets.ts'

/** The fixed parts of a dataset's statements; every name in them is checked by `sqlName`. */
export interface DatasetSql {
  /** The partitioned table. */
  readonly table: string
  /** Fields of a whole row, in the order of the binary COPY. */
  readonly fields: string
  /** What a read selects of a row `h`, in the order of {@link StoredRow}. */
  readonly selected: string
  /** As many nulls of the same types. */
  readonly nulls: string
  /** One text for a row `h`: equal rows give equal text, as `rowText` makes it here. */
  readonly rowText: string
  readonly columns: readonly RecordColumn[]
}

const SQL_TYPES: Readonly<Record<ColumnKind, string>> = {
  text: 'text',
  decimal: 'numeric',
  figure: 'numeric',
  integer: 'bigint',
  boolean: 'boolean',
  instant: 'timestamptz',
  date: 'date',
  texts: 'text[]',
  json: 'text',
}

/** Milliseconds of a timestamptz, as text. */
const msText = (value: string) => `(extract(epoch FROM ${value}) * 1000)::bigint::text`

const VALUE_TEXTS: Readonly<Record<ColumnKind, (value: string) => string>> = {
  text: (value) => value,
  decimal: (value) => `(${value} * 1000000)::bigint::text`,
  figure: (value) => `trim_scale(${value})::text`,
  integer: (value) => `${value}::text`,
  boolean: (value) => `CASE ${value} WHEN true THEN 't' WHEN false THEN 'f' END`,
  instant: msText,
  date: (value) => `to_char(${value}, 'YYYY-MM-DD')`,
  texts: (value) =>
    `(cardinality(${value}) || '#' || (SELECT coalesce(string_agg(octet_length(e) || ':' || e, '' ORDER BY n), '') FROM unnest(${value}) WITH ORDINALITY u(e, n)))`,
  json: (value) => `${value}::text`,
}

const VERSION_TEXTS = ['h.symbol', msText('h.ts'), 'h.key', msText('h.recorded_at')]

/** Statement parts by dataset: the only source of names in SQL over records. */
export const RECORD_SQL: Readonly<Record<Dataset, DatasetSql>> = Object.fromEntries(
  DATASET_NAMES.map((dataset) => [dataset, sqlOf(dataset)]),
) as Record<Dataset, DatasetSql>

function sqlOf(dataset: Dataset): DatasetSql {
  const { columns } = datasetDefinition(dataset)
  const names = columns.map((column) => sqlName(column.name))
  const kinds = columns.map((column) => column.kind)
  const texts = [
    ...VERSION_TEXTS,
    VALUE_TEXTS.boolean('h.deleted'),
    ...names.map((name, index) => valueText(kinds[index]!, `h.${name}`)),
  ]
  return {
    table: sqlName(`records_${dataset}`),
    fields: ['source_id', 'symbol', 'ts', 'key', 'recorded_at', 'deleted', ...names].join(', '),
    selected: [
      'h.symbol',
      'h.ts',
      'h.key',
      'h.recorded_at',
      'h.deleted',
      ...names.map((name, index) => (kinds[index] === 'json' ? `h.${name}::text AS ${name}` : `h.${name}`)),
    ].join(', '),
    nulls: [
      'NULL::text',
      'NULL::timestamptz',
      'NULL::text',
      'NULL::timestamptz',
      'NULL::boolean',
      ...kinds.map((kind) => `NULL::${SQL_TYPES[kind]}`),
    ].join(', '),
    rowText: texts.map((text) => `coalesce(octet_length(${text}) || ':' || ${text}, '-')`).join(` || `),
    columns,
  }
}

function valueText(kind: ColumnKind, value: string): string {
  return VALUE_TEXTS[kind](value)
}
