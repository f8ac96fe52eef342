export type {
  BarsRequest,
  BarsResult,
  MarketDataProvider,
  ProviderCapabilities,
  RejectedRow,
} from './model.ts'
export { createFileProvider } from './file/FileProvider.ts'
export type { FileProvider, FileProviderOptions, FileScanOptions, FileSummary } from './file/FileProvider.ts'
export { readTable } from './file/readTable.ts'
export type { TableRow } from './file/readTable.ts'
export type { FileChunk } from './file/RowSink.ts'
export { createPolygonProvider } from './polygon/PolygonProvider.ts'
export type { PolygonProvider, PolygonProviderOptions } from './polygon/PolygonProvider.ts'
export type { ProviderSplit } from './polygon/reference.ts'
export type { ProviderErrorCode } from './polygon/classify.ts'
export {
  fileProviderSchema,
  polygonOptionsSchema,
  polygonProviderSchema,
  requestOptionsSchema,
} from './schema.ts'
export type { FileProviderConfig, PolygonProviderConfig } from './schema.ts'
export { checkCredentials, credentialError } from './credentials/checkCredentials.ts'
export type { CheckCredentialsOptions } from './credentials/checkCredentials.ts'
export { alpacaCheck, alpacaNewsCheck } from './credentials/alpaca.ts'
export type { AlpacaCheckOptions, AlpacaKeys } from './credentials/alpaca.ts'
export { polygonCheck, polygonNewsCheck } from './credentials/polygon.ts'
export type { PolygonCheckOptions } from './credentials/polygon.ts'
export { KEY_FORMATS } from './credentials/keyFormats.ts'
export type { AlpacaEnvironment, KeyFormat } from './credentials/keyFormats.ts'
export type {
  AskProvider,
  CredentialCheck,
  CredentialFinding,
  CredentialOutcome,
  CredentialReport,
  CredentialResult,
  ProviderAnswer,
} from './credentials/model.ts'
export { createTokenKeeper } from './credentials/TokenKeeper.ts'
export type { FreshToken, TokenKeeper, TokenKeeperOptions, TokenStatus } from './credentials/TokenKeeper.ts'
export { readJwtTimes } from './credentials/jwt.ts'
export type { JwtTimes } from './credentials/jwt.ts'
export { credentialCheckSchema, tokenKeeperSchema } from './credentials/schema.ts'
