import { fileURLToPath } from 'node:url'
import { ESLint } from 'eslint'
import { beforeAll, describe, expect, it } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** What lint says of a text, as if it were a source of the product. */
async function rulesBrokenBy(eslint: ESLint, text: string): Promise<string[]> {
  const [result] = await eslint.lintText(`${text}\n`, { filePath: 'packages/storage/src/planted.ts' })
  return result!.messages.map((message) => message.ruleId ?? 'syntax')
}

describe('lint refuses what money must not depend on', () => {
  let eslint: ESLint
  beforeAll(() => {
    eslint = new ESLint({
      cwd: ROOT,
      // What other rules say of a planted line is beside the point, and the module graph costs seconds.
      ruleFilter: ({ ruleId }) => /^(no-eval|no-new-func|no-restricted-syntax|varve\/.*)$/.test(ruleId),
    })
  })

  it.each([
    ['eval', 'eval(text)', 'no-eval'],
    ['eval by another name', 'globalThis.eval(text)', 'no-eval'],
    ['a function made of text', 'export const f = new Function("a", text)', 'no-new-func'],
    ['an async function made of text', 'export const f = new AsyncFunction(text)', 'no-restricted-syntax'],
    ['the vm module', "import { runInThisContext } from 'node:vm'", 'no-restricted-syntax'],
    ['executable serialization', "import { deserialize } from 'node:v8'", 'no-restricted-syntax'],
    ['an import put together from data', 'await import(`./${name}.js`)', 'no-restricted-syntax'],
    ['MD5', "createHash('md5')", 'no-restricted-syntax'],
    ['MD5 through the module', "crypto.createHash('MD5')", 'no-restricted-syntax'],
    ['SHA-1', "createHmac('sha1', key)", 'no-restricted-syntax'],
    ['MD5 in SQL', "await sql.query('SELECT md5(name) FROM t')", 'no-restricted-syntax'],
    ['Math.random', 'export const id = Math.random().toString(36)', 'no-restricted-syntax'],
    [
      'a value inside SQL',
      "export const f = (name: string) => { sql.query(`SELECT * FROM t WHERE name = '${name}'`) }",
      'varve/sql-by-parameters',
    ],
    [
      'a property inside SQL',
      'await sql.query(`DELETE FROM t WHERE id = ${row.id}`)',
      'varve/sql-by-parameters',
    ],
    [
      'a value added to SQL',
      'export function f(name: string) { return sql.query("SELECT * FROM t WHERE name = " + name) }',
      'varve/sql-by-parameters',
    ],
    [
      'a fragment that only passes its argument on',
      'const same = (text: string) => text\nexport const f = (a: string) => { sql.exec(`DROP TABLE ${same(a)}`) }',
      'varve/sql-by-parameters',
    ],
  ])('%s', async (_name, text, rule) => {
    expect(await rulesBrokenBy(eslint, text)).toContain(rule)
  })

  it.each([
    ['parameters', 'await sql.query(`SELECT ${COLUMNS} FROM t WHERE name = $1`, [name])'],
    ['a checked name', 'await sql.exec(`DROP TABLE ${sqlName(name)}`)'],
    [
      'a fixed choice',
      "const order = up ? 'ASC' : 'DESC'\nawait sql.query(`SELECT name FROM t ORDER BY name ${order}`)",
    ],
    ['an entry of a fixed map', 'await sql.query(`SELECT name FROM ${TABLES[kind]}`)'],
    ['SHA-256', "createHash('sha256')"],
    ['random bytes', 'export const id = randomUUID()'],
  ])('and lets pass: %s', async (_name, text) => {
    expect(await rulesBrokenBy(eslint, text)).toEqual([])
  })
})
