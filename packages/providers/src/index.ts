export type {
  BarsRequest,
  BarsResult,
  MarketDataProvider,
  ProviderCapabilities,
  RejectedRow,
} from './model.ts'
export { createFileProvider } from './file/FileProvider.ts'
export type { FileProvider, FileProviderOptions, FileScanOptions, FileSummary } from './file/FileProvider.ts'
export type { FileChunk } from './file/RowSink.ts'
export { createPolygonProvider } from './polygon/PolygonProvider.ts'
export type { PolygonProvider, PolygonProviderOptions } from './polygon/PolygonProvider.ts'
export type { ProviderSplit } from './polygon/reference.ts'
export type { ProviderErrorCode } from './polygon/classify.ts'
export { fileProviderSchema, polygonProviderSchema } from './schema.ts'
export type { FileProviderConfig, PolygonProviderConfig } from './schema.ts'
