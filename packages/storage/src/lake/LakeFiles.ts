/** A file of the lake. */
export interface LakeFileInfo {
  /** Relative, with `/`: `bars/interval=1d/provider=polygon/feed=sip/adjustment=raw/<sha256>.parquet`. */
  readonly path: string
  readonly bytes: number
  /** Last written, milliseconds since 1970-01-01T00:00Z. */
  readonly modifiedAt: number
}

/**
 * Where lake files live: a directory or an object store. Files are immutable and named after their content, so
 * writing one twice is harmless.
 */
export interface LakeFiles {
  /** What messages call this lake: its directory or bucket. */
  readonly location: string
  /** Writes a whole file: durable and complete once resolved, never visible in part. Renews `modifiedAt`. */
  write(path: string, content: Uint8Array): Promise<void>
  /** Bytes of a file, or `undefined` when there is none. */
  size(path: string): Promise<number | undefined>
  /** Bytes from `start` to `end` (exclusive). Rejects when the file is missing or shorter. */
  read(path: string, start: number, end: number): Promise<Uint8Array<ArrayBuffer>>
  /** All files below `prefix`, in no particular order. */
  list(prefix?: string): AsyncIterable<LakeFileInfo>
  /** Removes a file; a missing one is fine. */
  delete(path: string): Promise<void>
}
