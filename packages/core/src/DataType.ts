/** Kinds of data a layer may ask for. */
export const DATA_TYPES = [
  'bars',
  'news',
  'corporate_actions',
  'social_sentiment',
  'options',
  'insider_trading',
] as const
export type DataType = (typeof DATA_TYPES)[number]

export function isDataType(text: string): text is DataType {
  return (DATA_TYPES as readonly string[]).includes(text)
}
