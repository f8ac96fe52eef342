export { createLoader } from './createLoader.ts'
export { WRITE_MODES, loaderOptionsSchema } from './options.ts'
export type { LoaderSettings, WriteMode } from './options.ts'
export type {
  BarWriter,
  BarsToLoad,
  BatchLoadError,
  LoadBatch,
  LoadResult,
  Loader,
  LoaderOptions,
  RecordWriter,
  ReplayResult,
  RowLoadError,
} from './Loader.ts'
