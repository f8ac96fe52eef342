// One load in a process of its own: node configCold.ts LOADER FOLDER. Without a loader it stops where a load would
// begin, so that what Node and the schemas take is known. The schemas are read from JSON Schema: the real ones would
// bring half of Varve with them, and every contender would carry its weight.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { type LoaderName, LOADERS } from './configLoaders.ts'

const [name, folder] = process.argv.slice(2) as [LoaderName | 'none', string]
const folders = { split: join(folder, 'split'), merged: join(folder, 'merged') }
const documents = JSON.parse(readFileSync(join(folder, 'schemas.json'), 'utf8')) as Record<
  string,
  Parameters<typeof z.fromJSONSchema>[0]
>
const sections = Object.fromEntries(
  Object.entries(documents).map(([section, document]) => [section, z.fromJSONSchema(document)]),
)
if (name !== 'none') {
  const load = await LOADERS[name].open(folders, sections)
  const found = Object.keys(await load()).length
  if (found !== Object.keys(sections).length) throw new Error(`${name}: ${found} sections`)
}
