import type { Files, TestOptions } from '../support.ts'

/** A configuration that must not load. */
export interface Case {
  readonly name: string
  readonly files?: Files
  readonly options?: TestOptions
  /** Code, file and line. */
  readonly expected: readonly [code: string, file: string, line: number]
  /** Part of the message that tells a newcomer what to do. */
  readonly says: string | RegExp
}

/** A `storage.yaml` of this text. */
export const storage = (text: string): Files => ({ 'storage.yaml': text })
/** An `access.yaml` of this text. */
export const access = (text: string): Files => ({ 'access.yaml': text })
/** Nothing but these environment variables. */
export const env = (values: Readonly<Record<string, string>>): TestOptions => ({ env: values })
