// Writes docs/reference/cli.md from what every command answers to --help, so that the page cannot say anything else.
// `node tools/check/cliReference.ts`
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The page this writes. */
export const CLI_REFERENCE = fileURLToPath(new URL('../../docs/reference/cli.md', import.meta.url))

const MAIN = fileURLToPath(new URL('../../apps/cli/src/main.ts', import.meta.url))

function help(words: readonly string[]): string {
  return execFileSync(
    process.execPath,
    ['--conditions=@varve/source', '--disable-warning=ExperimentalWarning', MAIN, ...words, '--help'],
    { encoding: 'utf8', env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0', COLUMNS: '80' } },
  ).trimEnd()
}

/** Names under "Commands:", without the built-in help. */
function commandsIn(text: string): string[] {
  const [, list = ''] = text.split('\nCommands:\n')
  return [...(list.split('\n\n')[0] ?? '').matchAll(/^ {2}([a-z][\w-]*)/gm)]
    .map((match) => match[1]!)
    .filter((name) => name !== 'help')
}

function* sections(words: readonly string[]): Generator<string> {
  const text = help(words)
  yield `## ${['varve', ...words].join(' ')}\n\n\`\`\`text\n${text}\n\`\`\``
  for (const name of commandsIn(text)) yield* sections([...words, name])
}

/** The whole page. */
export function cliReference(): string {
  return `${[
    '# The varve command',
    '<!-- Written by tools/check/cliReference.ts from --help; do not edit. -->',
    'In a checkout commands start with `npx varve`. Results go to standard output, progress, logs and errors to standard error; with `--json` standard output is exactly one JSON document.',
    `| exit code | meaning |
|---|---|
| 0 | done |
| 1 | failed; standard error has one line \`varve: CODE: message\`, or one line per fault of the configuration. See [errors](errors.md) |
| 2 | the command line was wrong: unknown command or option, missing argument |
| 130 | interrupted by Ctrl-C or SIGTERM; what was committed stays, the same command goes on from there |`,
    '`VARVE_DEBUG=1` adds the stack to an error. `DATABASE_URL` and `POLYGON_API_KEY` are described under [configuration](configuration.md).',
    ...sections([]),
  ].join('\n\n')}\n`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(CLI_REFERENCE, cliReference())
