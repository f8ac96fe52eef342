/**
 * What a criterion can look at. Amounts are dollars, ratios and scores have no unit, changes are per cent.
 */
export const METRICS = {
  active: 'listed and tradable (true or false)',
  exchange: 'ISO 10383 code of the listing exchange',
  type: 'kind of security, as the provider spells it',
  marketCap: 'market capitalisation, dollars',
  price: 'last close, dollars',
  averageDollarVolume: 'mean of close × volume over the window ending at the session, dollars',
  relativeVolume: 'volume of the session ÷ mean volume of the window before it',
  priceChange: 'size of the change from the previous close, per cent (never negative)',
  volatility: 'standard deviation of the one-session returns of the window before the session, per cent',
  returnShock: 'size of the one-session return in standard deviations of the window before, at most 5',
  volumeShock: 'log2 of the relative volume, not below 0',
  eventPoints: 'points for filings, splits, earnings and news within two sessions',
  catalystScore: 'weighted sum of return shock, volume shock and event points',
} as const
export type MetricName = keyof typeof METRICS
export const METRIC_NAMES = Object.keys(METRICS) as [MetricName, ...MetricName[]]

/** Values of one symbol at one session; a metric that could not be computed is `null`. */
export type MetricValues = Readonly<Record<MetricName, number | string | boolean | null>>
