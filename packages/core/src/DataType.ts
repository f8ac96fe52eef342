/** Kinds of data. A layer asks for some of them by rule; the others are kept when they are loaded. */
export const DATA_TYPES = [
  'bars',
  'news',
  'corporate_actions',
  'social_sentiment',
  'options',
  'insider_trading',
  'trades',
  'quotes',
  'filings',
  'ratings',
  'features',
  'scan_results',
] as const
export type DataType = (typeof DATA_TYPES)[number]

export function isDataType(text: string): text is DataType {
  return (DATA_TYPES as readonly string[]).includes(text)
}
