import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const MARKED = /<!-- runs -->\r?\n```ts\r?\n([\s\S]*?)\n```/g

/** Snippets of a Markdown text that promise to run as pasted. */
export function markedSnippets(markdown: string): string[] {
  return [...markdown.matchAll(MARKED)].map((match) => match[1]!)
}

/** Runs a snippet inside a package's folder, so that its imports resolve as they would for a user. */
async function runSnippet(
  folder: string,
  code: string,
): Promise<{ readonly status: number | null; readonly text: string }> {
  const file = join(folder, `.snippet-${process.pid}-${randomUUID()}.ts`)
  // What a snippet leaves behind goes where it can be removed.
  const scratch = mkdtempSync(join(tmpdir(), 'varve-snippet-'))
  writeFileSync(file, code)
  try {
    return await new Promise((resolve, reject) => {
      const child = spawn(
        process.execPath,
        ['--conditions=@varve/source', '--disable-warning=ExperimentalWarning', file],
        {
          cwd: folder,
          env: { ...process.env, TMPDIR: scratch },
          stdio: ['ignore', 'pipe', 'pipe'],
        },
      )
      let text = ''
      child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
      child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()))
      child.on('error', reject)
      child.on('close', (status) => resolve({ status, text }))
    })
  } finally {
    rmSync(file, { force: true })
    rmSync(scratch, { recursive: true, force: true })
  }
}

const folders = ['packages', 'apps'].flatMap((group) =>
  readdirSync(join(ROOT, group)).map((name) => `${group}/${name}`),
)

function readme(folder: string): string {
  return readFileSync(join(ROOT, folder, 'README.md'), 'utf8')
}

describe('snippets of the READMEs', () => {
  it.each(folders.filter((folder) => folder.startsWith('packages/')))(
    '%s has one that runs as pasted',
    async (folder) => {
      const snippets = markedSnippets(readme(folder))
      expect(snippets.length).toBeGreaterThan(0)
      for (const snippet of snippets) {
        const { status, text } = await runSnippet(join(ROOT, folder), snippet)
        expect(status, text).toBe(0)
      }
    },
  )

  it('notices a snippet that fails (control)', async () => {
    const [broken] = markedSnippets(
      "<!-- runs -->\n```ts\nimport { nothing } from '@varve/core'\nconsole.log(nothing)\n```\n",
    )
    const { status, text } = await runSnippet(join(ROOT, 'packages/core'), broken!)
    expect(status).not.toBe(0)
    expect(text).toContain('nothing')
  })

  it.each(folders)('%s says what it is, how to install it and what it guarantees', (folder) => {
    const text = readme(folder)
    const { name } = JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8')) as { name: string }
    expect(text.startsWith(`# ${name}\n`)).toBe(true)
    expect(text).toMatch(/npm install/)
    expect(text).toMatch(/Guarantees/)
  })
})
