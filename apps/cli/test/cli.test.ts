import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AS_OF, type Ended, start, until, varve, writeMarket } from './support.ts'

let folder: string
const at = (name: string) => join(folder, name)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'varve-cli-'))
  writeMarket(at('market.csv'), 40)
  writeFileSync(at('columns.csv'), 'symbol,date,open,high,low,last,volume\nAAA,2015-06-30,1,1,1,1,1\n')
  writeFileSync(at('file'), 'not a folder')
  mkdirSync(at('badKey'))
  writeFileSync(at('badKey/scanner.yaml'), 'exchange: XNYS\nmaximumStp: 1\n')
  const filled = await varve(['run', '--bars', 'market.csv', '--data-dir', 'filled', '--json'], folder)
  expect(filled.stderr).toBe('')
  expect(filled.code).toBe(0)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** One line for people, with its code, and nothing else anywhere. */
function expectOneLine({ code, stdout, stderr }: Ended, expected: string) {
  expect(stdout).toBe('')
  expect(stderr.trimEnd().split('\n')).toEqual([
    expect.stringMatching(new RegExp(`^varve: ${expected}: \\S`)),
  ])
  expect(code).toBe(1)
}

describe('bad input', () => {
  it.each([
    ['a missing file', ['import', 'nowhere.csv'], 'FILE_NOT_FOUND'],
    ['a missing file as the market', ['run', '--bars', 'nowhere.csv'], 'FILE_NOT_FOUND'],
    ['a folder as a file', ['import', '.'], 'FILE_NOT_FOUND'],
    ['wrong columns', ['import', 'columns.csv'], 'FILE_COLUMNS_MISSING'],
    ['wrong columns in the second file', ['import', 'market.csv', 'columns.csv'], 'FILE_COLUMNS_MISSING'],
    [
      'wrong columns of the market',
      ['run', '--bars', 'columns.csv', '--as-of', AS_OF],
      'FILE_COLUMNS_MISSING',
    ],
    ['an impossible date', ['run', '--bars', 'market.csv', '--as-of', '2015-02-30'], 'DATE_INVALID'],
    ['an impossible date of an import', ['import', 'market.csv', '--as-of', '2015-13-01'], 'DATE_INVALID'],
    [
      'a date of which the market knows nothing',
      ['run', '--bars', 'market.csv', '--as-of', '2014-06-30'],
      'LISTING_EMPTY',
    ],
    ['an unknown interval', ['import', 'market.csv', '--interval', '7m'], 'INTERVAL_UNKNOWN'],
    ['a demo on real bars', ['run', '--demo', '--bars', 'market.csv'], 'OPTIONS_CONFLICT'],
    ['no source at all', ['run'], 'PROVIDER_NONE'],
    ['an empty store', ['status'], 'STORE_EMPTY'],
    ['the bars of an empty store', ['bars', 'AAPL'], 'STORE_EMPTY'],
    ['a port that is none', ['daemon', '--bars', 'market.csv', '--port', 'http'], 'OPTION_INVALID'],
  ])('%s is one clear line and changes nothing', async (_name, args, code) => {
    expectOneLine(await varve([...args, '--data-dir', 'untouched'], folder), code)
    expect(existsSync(at('untouched'))).toBe(false)
    expectOneLine(await varve([...args, '--data-dir', 'untouched', '--json'], folder), code)
  })

  it('a folder that cannot be written is named', async () => {
    const ended = await varve(['import', 'market.csv', '--data-dir', 'file/below'], folder)
    expectOneLine(ended, 'DATA_DIR_NOT_WRITABLE')
    expect(ended.stderr).toContain(at('file/below'))
  })

  it('a fault in the configuration is named by file, line and column', async () => {
    for (const args of [
      ['config', 'check'],
      ['run', '--bars', 'market.csv', '--data-dir', 'untouched'],
    ]) {
      const ended = await varve([...args, '--config', 'badKey'], folder)
      expect(ended.stdout).toBe('')
      expect(ended.stderr.trimEnd().split('\n')).toEqual([
        expect.stringMatching(/^scanner\.yaml:2:1 [A-Z_]+ .*maximumStp.*maximumStep/),
      ])
      expect(ended.code).not.toBe(0)
    }
    expect(existsSync(at('untouched'))).toBe(false)
  })

  it('an unknown symbol is one line, whatever the command', async () => {
    const before = await varve(['status', '--data-dir', 'filled', '--json'], folder)
    for (const args of [
      ['why', 'NOPE'],
      ['bars', 'NOPE'],
      ['backfill', '--symbols', 'SA0,NOPE', '--bars', 'market.csv'],
    ]) {
      const ended = await varve([...args, '--data-dir', 'filled'], folder)
      expectOneLine(ended, 'SYMBOL_UNKNOWN')
      expect(ended.stderr).toContain('NOPE')
    }
    expect(await varve(['status', '--data-dir', 'filled', '--json'], folder)).toEqual(before)
  })

  it('a wrong command line ends with 2 and says where help is', async () => {
    const ended = await varve(['rum'], folder)
    expect(ended.code).toBe(2)
    expect(ended.stderr).toContain('Did you mean run?')
  })
})

describe('--help', () => {
  it('of every command has examples', async () => {
    const commandsOf = (text: string) =>
      [...(text.split('Commands:')[1] ?? '').matchAll(/^ {2}([a-z]+)(?= )/gm)]
        .map(([, name]) => name!)
        .filter((name) => name !== 'help')
    const top = await varve(['--help'], folder)
    expect(top.code).toBe(0)
    const names = commandsOf(top.stdout)
    expect(names).toEqual(
      expect.arrayContaining([
        'init',
        'run',
        'import',
        'scan',
        'backfill',
        'gaps',
        'status',
        'why',
        'bars',
        'config',
        'daemon',
      ]),
    )
    for (const name of names) {
      const help = await varve([name, '--help'], folder)
      expect(help.code).toBe(0)
      const subcommands = commandsOf(help.stdout)
      const pages =
        subcommands.length === 0
          ? [help]
          : await Promise.all(subcommands.map((sub) => varve([name, sub, '--help'], folder)))
      for (const page of pages) expect(page.stdout, name).toMatch(/\nExamples?:\n {2}varve /)
    }
  })
})

describe('--json', () => {
  it.each([
    ['run', ['run', '--bars', 'market.csv']],
    ['import', ['import', 'market.csv']],
    ['scan', ['scan', '--bars', 'market.csv']],
    ['backfill', ['backfill', '--layer', '0', '--bars', 'market.csv']],
    ['gaps', ['gaps']],
    ['gaps --heal', ['gaps', '--heal', '--bars', 'market.csv']],
    ['retention', ['retention', '--as-of', AS_OF]],
    ['retention --dry-run', ['retention', '--dry-run', '--as-of', AS_OF]],
    ['status', ['status']],
    ['why', ['why', 'SA0']],
    ['bars', ['bars', 'SA0', '--from', '2015-06-01']],
    ['lake verify', ['lake', 'verify']],
    ['lake compact', ['lake', 'compact']],
    ['lake manifest', ['lake', 'manifest']],
    ['db migrate', ['db', 'migrate']],
    ['db replay', ['db', 'replay']],
    ['config check', ['config', 'check']],
    ['init', ['init', '--config', 'written']],
    ['calendar sessions', ['calendar', 'sessions', '--from', '2015-06-29', '--to', '2015-07-06']],
  ])('of %s is one document on standard output', async (_name, args) => {
    const ended = await varve([...args, '--data-dir', 'filled', '--json'], folder)
    expect(ended.stderr).toBe('')
    expect(ended.code).toBe(0)
    expect(ended.stdout.trimEnd().split('\n')).toHaveLength(1)
    expect(JSON.parse(ended.stdout)).toBeTypeOf('object')
  })

  it('of bars holds exact decimal text', async () => {
    const { stdout } = await varve(
      [
        'bars',
        'SA0',
        '--from',
        '2015-06-29',
        '--to',
        '2015-06-29',
        '--source',
        'file',
        '--data-dir',
        'filled',
        '--json',
      ],
      folder,
    )
    expect(JSON.parse(stdout)).toEqual([
      {
        time: '2015-06-29',
        open: '10.01',
        high: '10.51',
        low: '9.51',
        close: '10.01',
        volume: '2005917',
        source: 'file/market',
      },
    ])
  })
})

describe('a backup', () => {
  it('restores into another place, where everything reads the same, and is refused once damaged', async () => {
    const made = await varve(['db', 'backup', '--to', 'kept', '--data-dir', 'filled', '--json'], folder)
    expect(made.stderr).toBe('')
    const { id } = JSON.parse(made.stdout) as { id: string }
    const tried = await varve(['db', 'restore', id, '--verify', '--from', 'kept', '--json'], folder)
    expect(JSON.parse(tried.stdout)).toMatchObject({ ok: true, problems: [] })
    const restored = await varve(['db', 'restore', id, '--from', 'kept', '--into', 'again'], folder)
    expect(restored.code).toBe(0)
    for (const args of [
      ['bars', 'SA0', '--json'],
      ['why', 'SA0', '--json'],
    ]) {
      const [before, after] = [
        await varve([...args, '--data-dir', 'filled'], folder),
        await varve([...args, '--data-dir', 'again'], folder),
      ]
      expect(after.stdout).toBe(before.stdout)
    }
    expectOneLine(
      await varve(['db', 'restore', id, '--from', 'kept', '--into', 'again'], folder),
      'BACKUP_TARGET_NOT_EMPTY',
    )
    const part = readdirSync(at('kept/data'))[0]!
    writeFileSync(at(`kept/data/${part}`), 'something else')
    const damaged = await varve(['db', 'restore', id, '--verify', '--from', 'kept'], folder)
    expect(damaged.code).toBe(1)
    expect(damaged.stderr).toContain('BACKUP_DAMAGED')
  })
})

describe('records', () => {
  it('are imported, refused rows are named, and the same file again changes nothing', async () => {
    const rows =
      'symbol,date,kind,ex_date,split_from,split_to\nSA0,2015-06-30,split,2015-06-30,1,2\nSA0,2015-06-29,split,2015-06-29,1,\n'
    writeFileSync(at('splits.csv'), rows)
    const load = async () => {
      const args = [
        'import',
        'splits.csv',
        '--dataset',
        'corporate_actions',
        '--data-dir',
        'filled',
        '--json',
      ]
      return JSON.parse((await varve(args, folder)).stdout) as object
    }
    expect(await load()).toMatchObject({
      inserted: 1,
      failed: 1,
      refused: [{ row: 2, rule: 'split_incomplete' }],
    })
    expect(await load()).toMatchObject({ inserted: 0, unchanged: 1, failed: 1 })
  })
})

describe('a run that is interrupted', () => {
  it('ends with 130, and the next one ends what it began', async () => {
    writeMarket(at('larger.csv'), 600)
    const args = (dataDir: string) => ['run', '--bars', 'larger.csv', '--data-dir', dataDir, '--json']
    const reference = await varve(args('whole'), folder)
    expect(reference.code).toBe(0)
    const running = start(args('stopped'), folder)
    // The first bars are on their way to the lake: the flow is in its middle.
    await until(() => (existsSync(at('stopped/lake')) ? true : undefined), 'the first lake file')
    running.child.kill('SIGINT')
    const stopped = await running.ended
    expect(stopped.stderr).toMatch(/interrupted; what was committed stays/)
    expect(stopped.code).toBe(130)
    expect(stopped.stdout).toBe('')
    expect((await varve(args('stopped'), folder)).code).toBe(0)
    const content = async (dataDir: string) => {
      const {
        dataDir: _where,
        jobs: _jobs,
        ...status
      } = JSON.parse((await varve(['status', '--data-dir', dataDir, '--json'], folder)).stdout) as Record<
        string,
        unknown
      >
      return status
    }
    expect(await content('stopped')).toEqual(await content('whole'))
  })
})

describe('the daemon', () => {
  it('serves health and metrics, keeps its directory to itself, and lets go of it at SIGTERM', async () => {
    const running = start(['daemon', '--bars', 'market.csv', '--data-dir', 'served', '--port', '0'], folder)
    try {
      const url = await until(
        () => /"url":"(http:[^"]+)"/.exec(running.stderr())?.[1],
        'the daemon to listen',
      )
      const health = async () => (await (await fetch(`${url}/health`)).json()) as Record<string, unknown>
      await until(async () => ((await health()).lastCycleAt === null ? undefined : true), 'the first cycle')
      expect(await health()).toMatchObject({ status: 'healthy', asOf: AS_OF, layers: { '0': 40 } })
      const metrics = await (await fetch(`${url}/metrics`)).text()
      expect(metrics).toMatch(/^varve_\w+(\{.*\})? \d/m)

      // A second process is refused, and the first goes on.
      for (const args of [['status'], ['import', 'market.csv']]) {
        const second = await varve([...args, '--data-dir', 'served'], folder)
        expectOneLine(second, 'DIRECTORY_LOCKED')
        expect(second.stderr).toContain(String(running.child.pid))
      }
      expect(await health()).toMatchObject({ status: 'healthy' })

      const port = new URL(url).port
      const clash = await varve(
        ['daemon', '--bars', 'market.csv', '--data-dir', 'clash', '--port', port],
        folder,
      )
      expect(clash.stderr).toContain(port)
      expectOneLine(clash, 'PORT_IN_USE')
      expect(existsSync(at('clash'))).toBe(false)
    } finally {
      running.child.kill('SIGTERM')
    }
    const ended = await running.ended
    expect(ended.code).toBe(0)
    expect(ended.stdout).toBe('')
    expect(ended.stderr).toContain('"msg":"stopped"')
    expect((await varve(['status', '--data-dir', 'served'], folder)).code).toBe(0)
  })

  it('refuses a port that somebody else holds', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const ended = await varve(
      ['daemon', '--bars', 'market.csv', '--data-dir', 'untouched', '--port', String(port)],
      folder,
    )
    server.close()
    expectOneLine(ended, 'PORT_IN_USE')
    expect(readdirSync(folder)).not.toContain('untouched')
  })
})
