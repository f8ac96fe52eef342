import type { DataType } from '@varve/core'
import type { ColumnInputs, ColumnKind, ColumnTypes, ColumnValue } from './columns.ts'

/** A column of a dataset. Columns that are not required may be null. */
export interface RecordColumn {
  readonly name: string
  readonly kind: ColumnKind
  readonly required?: boolean
}

/** A rule a row must keep; it sees the row's checked values by column name. */
export interface RecordRule {
  /** Stable name, as it appears in errors and in the quarantine. */
  readonly name: string
  /** What is expected, for the message. */
  readonly expects: string
  readonly holds: (value: (column: string) => ColumnValue) => boolean
}

/** What a dataset is made of. */
export interface DatasetDefinition {
  /** Its name among core's data types, where it has one. */
  readonly dataType: DataType | undefined
  /** Length of time of one partition. */
  readonly partition: 'day' | 'month'
  readonly columns: readonly RecordColumn[]
  /** Columns that tell apart records of one symbol and instant, when the row brings no key of its own. */
  readonly keyColumns: readonly string[]
  /** Of these, the one without which two rows of a batch that differ cannot be told from versions of one record. */
  readonly toldApartBy?: string
  readonly rules: readonly RecordRule[]
}

const required = <const Name extends string, const Kind extends ColumnKind>(name: Name, kind: Kind) =>
  ({ name, kind, required: true }) as const
const optional = <const Name extends string, const Kind extends ColumnKind>(name: Name, kind: Kind) =>
  ({ name, kind, required: false }) as const

const positive = (column: string): RecordRule => ({
  name: `${column}_not_positive`,
  expects: `${column} above zero`,
  holds: (value) => isNull(value(column)) || isAbove(value(column), 0),
})
const notNegative = (column: string): RecordRule => ({
  name: `${column}_negative`,
  expects: `${column} of zero or more`,
  holds: (value) => isNull(value(column)) || isAbove(value(column), -1),
})
const oneOf = (column: string, allowed: readonly string[]): RecordRule => ({
  name: `${column}_unknown`,
  expects: `${column} to be one of ${allowed.join(', ')}`,
  holds: (value) => isNull(value(column)) || allowed.includes(String(value(column))),
})
const whenKind = (kind: string, name: string, columns: readonly string[]): RecordRule => ({
  name,
  expects: `${columns.join(' and ')} in a ${kind}`,
  holds: (value) => value('kind') !== kind || columns.every((column) => !isNull(value(column))),
})

/** Kinds of corporate actions. */
export const CORPORATE_ACTION_KINDS = [
  'split',
  'dividend',
  'spin_off',
  'symbol_change',
  'merger',
  'delisting',
  'rights',
] as const

/**
 * Every kind of data kept besides bars. A record's `time` is the instant it is about: of the trade or the article, of
 * midnight UTC of an ex-date, an expiry's quote or a fiscal period's end.
 */
export const DATASETS = {
  trades: {
    dataType: undefined,
    partition: 'day',
    columns: [
      required('price', 'decimal'),
      required('size', 'decimal'),
      required('sequence', 'integer'),
      optional('exchange', 'text'),
      optional('conditions', 'texts'),
      optional('suspicious', 'boolean'),
      optional('trade_id', 'text'),
    ],
    // Several trades share a millisecond; the sequence number of the feed tells them apart.
    keyColumns: ['sequence'],
    rules: [positive('price'), notNegative('size'), notNegative('sequence')],
  },
  quotes: {
    dataType: undefined,
    partition: 'day',
    columns: [
      required('sequence', 'integer'),
      optional('bid_price', 'decimal'),
      optional('bid_size', 'decimal'),
      optional('ask_price', 'decimal'),
      optional('ask_size', 'decimal'),
      optional('bid_exchange', 'text'),
      optional('ask_exchange', 'text'),
      optional('conditions', 'texts'),
      optional('suspicious', 'boolean'),
    ],
    keyColumns: ['sequence'],
    rules: [
      notNegative('bid_price'),
      notNegative('ask_price'),
      notNegative('bid_size'),
      notNegative('ask_size'),
      notNegative('sequence'),
    ],
  },
  news: {
    dataType: 'news',
    partition: 'month',
    columns: [
      required('article_id', 'text'),
      required('title', 'text'),
      optional('summary', 'text'),
      optional('body', 'text'),
      optional('url', 'text'),
      optional('author', 'text'),
      optional('publisher', 'text'),
      optional('language', 'text'),
      optional('symbols', 'texts'),
      optional('topics', 'texts'),
      optional('updated_at', 'instant'),
      optional('extra', 'json'),
    ],
    keyColumns: ['article_id'],
    rules: [],
  },
  corporate_actions: {
    dataType: 'corporate_actions',
    partition: 'month',
    columns: [
      required('kind', 'text'),
      required('ex_date', 'date'),
      optional('action_id', 'text'),
      optional('record_date', 'date'),
      optional('pay_date', 'date'),
      optional('declared_date', 'date'),
      optional('split_from', 'decimal'),
      optional('split_to', 'decimal'),
      optional('cash_amount', 'figure'),
      optional('currency', 'text'),
      optional('new_symbol', 'text'),
      optional('related_symbol', 'text'),
      optional('note', 'text'),
      optional('extra', 'json'),
    ],
    keyColumns: ['kind', 'action_id'],
    toldApartBy: 'action_id',
    rules: [
      oneOf('kind', CORPORATE_ACTION_KINDS),
      positive('split_from'),
      positive('split_to'),
      whenKind('split', 'split_incomplete', ['split_from', 'split_to']),
      whenKind('dividend', 'dividend_incomplete', ['cash_amount', 'currency']),
      whenKind('symbol_change', 'symbol_change_incomplete', ['new_symbol']),
    ],
  },
  sentiment: {
    dataType: 'social_sentiment',
    partition: 'month',
    columns: [
      required('channel', 'text'),
      optional('post_id', 'text'),
      optional('text', 'text'),
      optional('author', 'text'),
      optional('url', 'text'),
      optional('score', 'decimal'),
      optional('confidence', 'decimal'),
      optional('mentions', 'integer'),
      optional('positive', 'integer'),
      optional('negative', 'integer'),
      optional('neutral', 'integer'),
      optional('extra', 'json'),
    ],
    keyColumns: ['channel', 'post_id'],
    toldApartBy: 'post_id',
    rules: [
      notNegative('mentions'),
      notNegative('positive'),
      notNegative('negative'),
      notNegative('neutral'),
    ],
  },
  options: {
    dataType: 'options',
    partition: 'month',
    columns: [
      required('contract', 'text'),
      required('expiry', 'date'),
      required('strike', 'decimal'),
      required('type', 'text'),
      optional('bid', 'decimal'),
      optional('ask', 'decimal'),
      optional('last', 'decimal'),
      optional('volume', 'decimal'),
      optional('open_interest', 'integer'),
      optional('implied_volatility', 'decimal'),
      optional('delta', 'decimal'),
      optional('gamma', 'decimal'),
      optional('theta', 'decimal'),
      optional('vega', 'decimal'),
      optional('underlying_price', 'decimal'),
    ],
    keyColumns: ['contract'],
    rules: [
      positive('strike'),
      oneOf('type', ['call', 'put']),
      notNegative('bid'),
      notNegative('ask'),
      notNegative('volume'),
      notNegative('open_interest'),
    ],
  },
  insider_trades: {
    dataType: 'insider_trading',
    partition: 'month',
    columns: [
      required('filing_id', 'text'),
      required('insider', 'text'),
      optional('relation', 'text'),
      required('transaction_code', 'text'),
      optional('transaction_date', 'date'),
      optional('shares', 'decimal'),
      optional('price', 'decimal'),
      optional('value', 'figure'),
      optional('shares_after', 'decimal'),
      optional('line', 'integer'),
      optional('url', 'text'),
    ],
    keyColumns: ['filing_id', 'line'],
    toldApartBy: 'line',
    rules: [notNegative('price')],
  },
  filings: {
    dataType: undefined,
    partition: 'month',
    columns: [
      required('doc_type', 'text'),
      required('end_date', 'date'),
      required('period_focus', 'text'),
      required('fiscal_year', 'integer'),
      required('amend', 'boolean'),
      optional('revenues', 'figure'),
      optional('op_income', 'figure'),
      optional('net_income', 'figure'),
      optional('eps_basic', 'figure'),
      optional('eps_diluted', 'figure'),
      optional('dividend', 'figure'),
      optional('assets', 'figure'),
      optional('cur_assets', 'figure'),
      optional('cur_liab', 'figure'),
      optional('cash', 'figure'),
      optional('equity', 'figure'),
      optional('cash_flow_op', 'figure'),
      optional('cash_flow_inv', 'figure'),
      optional('cash_flow_fin', 'figure'),
      optional('filing_id', 'text'),
    ],
    keyColumns: ['doc_type', 'period_focus', 'fiscal_year', 'amend', 'filing_id'],
    rules: [],
  },
  ratings: {
    dataType: undefined,
    partition: 'month',
    columns: [
      required('firm', 'text'),
      optional('analyst', 'text'),
      optional('action', 'text'),
      optional('rating', 'text'),
      optional('rating_before', 'text'),
      optional('target_price', 'decimal'),
      optional('target_before', 'decimal'),
      optional('currency', 'text'),
      optional('extra', 'json'),
    ],
    keyColumns: ['firm', 'analyst'],
    toldApartBy: 'analyst',
    rules: [positive('target_price')],
  },
  features: {
    dataType: undefined,
    partition: 'month',
    columns: [
      required('name', 'text'),
      required('version', 'text'),
      optional('value', 'figure'),
      optional('extra', 'json'),
    ],
    keyColumns: ['name', 'version'],
    rules: [],
  },
  scan_results: {
    dataType: undefined,
    partition: 'month',
    columns: [
      required('scan', 'text'),
      required('layer', 'integer'),
      optional('qualified', 'boolean'),
      optional('liquidity_score', 'decimal'),
      optional('catalyst_score', 'decimal'),
      optional('reasons', 'json'),
    ],
    keyColumns: ['scan'],
    rules: [notNegative('layer')],
  },
} as const satisfies Readonly<Record<string, DatasetDefinition>>

/** Name of a dataset. */
export type Dataset = keyof typeof DATASETS

/** Names of all datasets. */
export const DATASET_NAMES = Object.keys(DATASETS) as readonly Dataset[]

/** The definition of a dataset, by a type that fits them all. */
export function datasetDefinition(dataset: Dataset): DatasetDefinition {
  return DATASETS[dataset]
}

type ColumnOf<D extends Dataset> = (typeof DATASETS)[D]['columns'][number]
type Named<D extends Dataset, Name> = Extract<ColumnOf<D>, { readonly name: Name }>

/** Values of a record as read: every column, `null` where the provider said nothing. */
export type RecordValues<D extends Dataset> = {
  readonly [Name in ColumnOf<D>['name']]: Named<D, Name> extends { readonly required: true }
    ? ColumnTypes[Named<D, Name>['kind']]
    : ColumnTypes[Named<D, Name>['kind']] | null
}

/** Values of a record to load: required columns, and any of the others. Decimals also as exact text. */
export type RecordInputs<D extends Dataset> = {
  readonly [Name in Extract<ColumnOf<D>, { readonly required: true }>['name']]: ColumnInputs[Named<
    D,
    Name
  >['kind']]
} & {
  readonly [Name in Extract<ColumnOf<D>, { readonly required: false }>['name']]?:
    ColumnInputs[Named<D, Name>['kind']] | null | undefined
}

function isNull(value: ColumnValue): boolean {
  return value === null
}

/** Whether a number is above a bound; decimals are scaled, so that the bounds used here (0 and -1) suit both. */
function isAbove(value: ColumnValue, bound: number): boolean {
  return (typeof value === 'bigint' || typeof value === 'number') && value > bound
}
