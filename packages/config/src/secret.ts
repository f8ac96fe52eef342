import { Secret } from '@varve/core'
import { z } from 'zod'
import { checkValue, isPlaceholder, type ValueKind } from './valueKinds.ts'

export interface SecretOptions {
  /** @defaultValue 1 */
  readonly minLength?: number
  readonly kind?: ValueKind
}

/** Marks the issue of a placeholder, so that it gets its own code. */
export const PLACEHOLDER_ISSUE = 'placeholder'

/**
 * A setting that must not be seen: a string that becomes a {@link Secret}. Blank values and the placeholders of
 * example files are refused; messages never hold the value.
 */
export function secret(options: SecretOptions = {}) {
  const { minLength = 1, kind } = options
  return z
    .string()
    .superRefine((text, context) => {
      const fail = (message: string, params?: Record<string, unknown>) =>
        context.addIssue({ code: 'custom', message, ...(params === undefined ? {} : { params }) })
      if (text.trim() === '') fail('the secret is blank', { blank: true })
      else if (isPlaceholder(text)) {
        fail('the value of an example file still stands here; put the real one in', {
          [PLACEHOLDER_ISSUE]: true,
        })
      } else if (text.length < minLength) fail(`expected at least ${minLength} characters`)
      else if (kind !== undefined) {
        const wrong = checkValue(kind, text)
        if (wrong !== undefined) fail(wrong)
      }
    })
    .transform((text) => new Secret(text))
    .meta({ secret: true })
}
