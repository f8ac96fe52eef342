import { inspect } from 'node:util'

/** What stands in place of a secret wherever it would be printed. */
export const REDACTED = '[secret]'

/**
 * A value that must not be seen: a key, a password, a URL that holds one. Printing, logging, serializing, cloning or
 * concatenating it yields `[secret]`; only {@link Secret.reveal} gives the text, at the place that sends it.
 */
export class Secret {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
    Object.freeze(this)
  }

  /** The text itself. Hand it straight to what needs it; never keep or log it. */
  reveal(): string {
    return this.#text
  }

  /** Whether both hold the same text. */
  equals(other: Secret): boolean {
    return this.#text === other.#text
  }

  toString(): string {
    return REDACTED
  }

  toJSON(): string {
    return REDACTED
  }

  [Symbol.toPrimitive](): string {
    return REDACTED
  }

  [inspect.custom](): string {
    return REDACTED
  }
}
