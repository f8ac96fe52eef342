export { checkCredentials, credentialError } from './checkCredentials.ts'
export type { CheckCredentialsOptions } from './checkCredentials.ts'
export { alpacaCheck, alpacaNewsCheck } from './alpaca.ts'
export type { AlpacaCheckOptions, AlpacaKeys } from './alpaca.ts'
export { polygonCheck, polygonNewsCheck } from './polygon.ts'
export type { PolygonCheckOptions } from './polygon.ts'
export { KEY_FORMATS } from './keyFormats.ts'
export type { AlpacaEnvironment, KeyFormat } from './keyFormats.ts'
export type {
  AskProvider,
  CredentialCheck,
  CredentialFinding,
  CredentialOutcome,
  CredentialReport,
  CredentialResult,
  ProviderAnswer,
} from './model.ts'
export { createTokenKeeper } from './TokenKeeper.ts'
export type { FreshToken, TokenKeeper, TokenKeeperOptions, TokenStatus } from './TokenKeeper.ts'
export { readJwtTimes } from './jwt.ts'
export type { JwtTimes } from './jwt.ts'
export { credentialCheckSchema, tokenKeeperSchema } from './schema.ts'
