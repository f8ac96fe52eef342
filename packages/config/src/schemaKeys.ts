import { z } from 'zod'

/** Keys the object at a path of a schema takes; empty where there is no object. For suggestions. */
export function keysAt(schema: z.ZodType, path: readonly (string | number)[]): readonly string[] {
  let candidates: unknown[] = [schema]
  for (const part of path) candidates = candidates.flatMap(unwrap).flatMap((item) => children(item, part))
  return candidates
    .flatMap(unwrap)
    .flatMap((item) => (item instanceof z.ZodObject ? Object.keys(shapeOf(item)) : []))
}

function shapeOf(object: z.ZodObject): Record<string, unknown> {
  return object.shape
}

/** What stands behind defaults, optionals, pipes and unions. */
function unwrap(schema: unknown): unknown[] {
  if (
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodReadonly
  ) {
    return unwrap(schema.unwrap())
  }
  if (schema instanceof z.ZodPipe) return unwrap(schema.in)
  if (schema instanceof z.ZodUnion) return schema.options.flatMap(unwrap)
  return [schema]
}

function children(schema: unknown, part: string | number): unknown[] {
  if (schema instanceof z.ZodObject) return part in shapeOf(schema) ? [shapeOf(schema)[part]] : []
  if (schema instanceof z.ZodArray) return [schema.element]
  if (schema instanceof z.ZodRecord) return [schema.valueType]
  return []
}
