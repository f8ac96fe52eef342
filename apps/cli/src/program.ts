import { readFileSync } from 'node:fs'
import { Command, CommanderError, Option } from 'commander'
import { printError } from './output/errors.ts'

/** Options every command takes. */
export interface GlobalOptions {
  readonly config?: string
  readonly set?: readonly string[]
  readonly environment?: string
  readonly dataDir?: string
  readonly json?: boolean
}

/** Read from the package, so that it is the version that was installed. */
function version(): string {
  const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    readonly version: string
  }
  return manifest.version
}

/** Parses the command line, runs the command, and returns the exit code. */
export async function runProgram(argv: readonly string[]): Promise<number> {
  const program = buildProgram()
  try {
    await program.parseAsync([...argv])
    return Number(process.exitCode ?? 0)
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    return printError(error)
  }
}

const intervalOption = () =>
  new Option('--interval <interval>', 'length of a bar: 1m, 5m, 15m, 1h or 1d').default('1d')
const asOfOption = () => new Option('--as-of <date>', 'the close of this session is "now" (YYYY-MM-DD)')
const barsOption = () => new Option('--bars <file...>', 'Parquet or CSV files as the source of market data')

function command(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option(
      '--config <dir>',
      'folder of configuration files (default: ./config, or built-in defaults without it)',
    )
    .option('--data-dir <dir>', 'folder of the embedded database and the lake (default: ./.varve)')
    .option(
      '--set <key=value>',
      'set one setting for this run, over files and environment; repeatable',
      (pair: string, before: readonly string[] = []) => [...before, pair],
    )
    .option(
      '--environment <name>',
      'development, test, staging or production: its profile and its rules (default: VARVE_ENV, or detected)',
    )
    .option('--json', 'print one JSON document on standard output')
}

function buildProgram(): Command {
  const program = new Command('varve')
    .description(
      'Layered market data for systematic trading: decides which symbols matter, fetches what each deserves, heals what is missing.',
    )
    .version(version())
    .exitOverride()
    .showSuggestionAfterError()
    .showHelpAfterError('(add --help for the options)')
    .addHelpText(
      'after',
      `
Examples:
  varve run --demo                                 one whole cycle on a synthetic market
  varve import prices.parquet                      load a file, then look for gaps
  varve run --bars prices.parquet --as-of 2015-06-30
  varve why AAPL                                   why a symbol is in its layer
  varve bars AAPL --from 2015-06-01 --json`,
    )

  command(program, 'init', 'write the default configuration')
    .addHelpText(
      'after',
      '\nExamples:\n  varve init                    writes ./config\n  varve init --config /etc/varve',
    )
    .action(async (options: GlobalOptions) => (await import('./commands/init.ts')).init(options))

  command(program, 'run', 'one cycle: list, scan, backfill, heal gaps, apply retention')
    .addOption(barsOption())
    .option('--demo', 'use the built-in synthetic market')
    .addOption(asOfOption())
    .option('--confirm', 'apply a scan that was held because it demotes unusually many symbols')
    .option('--serve', 'go on as the daemon afterwards')
    .addHelpText(
      'after',
      `
Examples:
  varve run --demo
  varve run --bars us_daily.parquet --as-of 2015-06-30 --json
  varve run                                        with a provider in config/providers.yaml`,
    )
    .action(async (options) => (await import('./commands/run.ts')).run(options))

  command(program, 'import', 'load everything in files, whatever the layer policy, then look for gaps')
    .argument('<file...>', 'Parquet or CSV files')
    .addOption(intervalOption())
    .option('--source <name>', 'name of the source (default: the file name)')
    .option(
      '--dataset <name>',
      'what the files hold: bars, or corporate_actions, news, filings, trades, … as CSV or NDJSON',
      'bars',
    )
    .option(
      '--recorded-at <instant>',
      'since when the values are known (default: now); load versions in their order',
    )
    .addOption(asOfOption())
    .addHelpText(
      'after',
      '\nExamples:\n  varve import sp500_daily.parquet\n  varve import minute/*.csv.gz --interval 1m --source vendor-x --json\n  varve import splits.csv --dataset corporate_actions --source polygon/reference',
    )
    .action(async (files: string[], options) =>
      (await import('./commands/import.ts')).importCommand(files, options),
    )

  command(program, 'scan', 'bring listings and daily bars up to date and judge every symbol')
    .addOption(barsOption())
    .addOption(asOfOption())
    .option('--confirm', 'apply a scan that was held because it demotes unusually many symbols')
    .addHelpText('after', '\nExample:\n  varve scan --bars us_daily.parquet --as-of 2015-07-01')
    .action(async (options) => (await import('./commands/stages.ts')).scan(options))

  command(program, 'backfill', 'fetch history on purpose, and work off what events asked for')
    .option('--layer <n>', 'every symbol of this layer and above')
    .option('--symbols <list>', 'symbols, separated by commas, or layerN')
    .option('--days <n>', "days back (default: each layer's policy)")
    .addOption(barsOption())
    .addOption(asOfOption())
    .addHelpText(
      'after',
      '\nExamples:\n  varve backfill --symbols AAPL,MSFT --days 90\n  varve backfill --layer 3',
    )
    .action(async (options) => (await import('./commands/stages.ts')).backfill(options))

  command(program, 'gaps', 'compare what is held with the calendar')
    .option('--heal', 'fetch what is missing')
    .addOption(barsOption())
    .addOption(asOfOption())
    .addHelpText('after', '\nExamples:\n  varve gaps\n  varve gaps --heal --bars us_daily.parquet')
    .action(async (options) => (await import('./commands/stages.ts')).gaps(options))

  command(program, 'retention', 'move bars to the lake and delete what has expired')
    .addOption(asOfOption())
    .option('--dry-run', 'only show what would move, and by which rule')
    .addHelpText('after', '\nExamples:\n  varve retention --dry-run\n  varve retention --as-of 2015-07-31')
    .action(async (options) => (await import('./commands/stages.ts')).retention(options))

  command(program, 'status', 'what is held, and how much')
    .addHelpText('after', '\nExamples:\n  varve status\n  varve status --data-dir .varve/demo --json')
    .action(async (options: GlobalOptions) => (await import('./commands/queries.ts')).status(options))

  command(program, 'why', 'why a symbol is in its layer: value, threshold and margin of each criterion')
    .argument('<symbol>', 'symbol as the exchange writes it')
    .addHelpText('after', '\nExample:\n  varve why AAPL')
    .action(async (symbol: string, options: GlobalOptions) =>
      (await import('./commands/queries.ts')).why(symbol, options),
    )

  command(program, 'bars', 'bars of one symbol, hot and cold as one')
    .argument('<symbol>', 'symbol as the exchange writes it')
    .addOption(intervalOption())
    .option('--from <date>', 'first date (YYYY-MM-DD)')
    .option('--to <date>', 'last date (YYYY-MM-DD)')
    .option('--source <name>', 'provider, or provider/feed')
    .option('--include-suspect', 'also rows that validation set aside, with their rule')
    .option('--known-at <instant>', 'as this store knew them then: a date or an ISO instant')
    .addOption(
      new Option('--tier <tier>', 'Postgres alone, the lake alone, or both as one (default: both)').choices([
        'both',
        'hot',
        'cold',
      ]),
    )
    .addOption(
      new Option(
        '--for <purpose>',
        'let the purpose of the read choose the tier, by storage.routing',
      ).choices(['real_time', 'analysis', 'feature_calc', 'bulk_export', 'admin']),
    )
    .addOption(
      new Option('--adjusted [what]', 'adjust for splits, dividends or (without a word) both').choices([
        'all',
        'split',
        'dividend',
      ]),
    )
    .option('--as-of <date>', 'no later bars; actions with a later ex-date do not apply')
    .option('--actions <source>', 'whose corporate actions count, where there are several')
    .option('--allow-partial', 'when the lake cannot be read, print what Postgres holds and say so')
    .addHelpText(
      'after',
      '\nExamples:\n  varve bars AAPL --from 2015-06-01 --to 2015-06-30\n  varve bars AAPL --interval 5m --json\n  varve bars AAPL --known-at 2015-06-30\n  varve bars AAPL --adjusted --as-of 2015-06-30',
    )
    .action(async (symbol: string, options) => (await import('./commands/queries.ts')).bars(symbol, options))

  const lake = program.command('lake').description('look after the Parquet lake')
  command(lake, 'verify', 'read every file again and compare it with what was recorded')
    .addHelpText('after', '\nExample:\n  varve lake verify')
    .action(async (options: GlobalOptions) => (await import('./commands/lake.ts')).verify(options))
  command(lake, 'manifest', 'write down what the lake holds, so that it can be read without Varve')
    .addHelpText('after', '\nExample:\n  varve lake manifest')
    .action(async (options: GlobalOptions) => (await import('./commands/lake.ts')).manifest(options))
  command(lake, 'compact', 'merge small files and fold corrections in')
    .addHelpText('after', '\nExample:\n  varve lake compact')
    .action(async (options: GlobalOptions) => (await import('./commands/lake.ts')).compact(options))

  addDatabaseCommands(program)
  addConfigCommands(program)

  command(program, 'doctor', 'what is right, what is wrong, and how to mend it')
    .addHelpText('after', '\nExamples:\n  varve doctor\n  varve doctor --environment production --json')
    .action(async (options: GlobalOptions) => (await import('./commands/doctor.ts')).doctor(options))

  const calendar = program.command('calendar').description('trading calendar')
  command(calendar, 'sessions', 'sessions of an exchange with opening and closing instants')
    .requiredOption('--from <date>', 'first date (YYYY-MM-DD)')
    .requiredOption('--to <date>', 'last date (YYYY-MM-DD)')
    .option('--exchange <code>', 'exchange (ISO 10383)', 'XNYS')
    .addHelpText('after', '\nExample:\n  varve calendar sessions --from 2025-07-01 --to 2025-07-10')
    .action(async (options) => (await import('./commands/calendar.ts')).sessions(options))

  command(program, 'daemon', 'long-running service: cycles after each close, events, /health and /metrics')
    .addOption(barsOption())
    .addOption(asOfOption())
    .option('--port <n>', 'port to listen on (default: daemon.yaml)')
    .addHelpText('after', '\nExample:\n  varve daemon --port 8080')
    .action(async (options) => (await import('./commands/daemon.ts')).daemon(options))

  return program
}

function addDatabaseCommands(program: Command): void {
  const db = program.command('db').description('look after the database, back it up and restore it')
  const load = () => import('./commands/db.ts')
  const fromOption = () => new Option('--from <dir>', 'folder of the backups (default: backup.yaml)')

  command(db, 'migrate', 'bring the schema up to date; a filled database is backed up before')
    .addHelpText('after', '\nExample:\n  varve db migrate')
    .action(async (options: GlobalOptions) => (await load()).migrate(options))
  command(db, 'backup', 'make one restore point of database, lake and configuration')
    .option('--to <dir>', 'folder it goes to (default: backup.yaml, or backups in the data directory)')
    .addOption(
      new Option(
        '--kind <kind>',
        'whose stored data is trusted: nobody, every earlier backup, the last full one',
      )
        .choices(['full', 'incremental', 'differential'])
        .default('full'),
    )
    .addHelpText(
      'after',
      '\nExamples:\n  varve db backup\n  varve db backup --to /mnt/backups --kind incremental',
    )
    .action(async (options) => (await load()).backup(options))
  command(db, 'backups', 'restore points there are, newest first')
    .addOption(fromOption())
    .addHelpText('after', '\nExample:\n  varve db backups --from /mnt/backups')
    .action(async (options) => (await load()).backups(options))
  command(db, 'replay', 'load batches again that could not be written and wait in the recovery folder')
    .addHelpText('after', '\nExample:\n  varve db replay')
    .action(async (options: GlobalOptions) => (await load()).replay(options))
  command(db, 'restore', 'restore a backup into an empty place, or only try it with --verify')
    .argument('[id]', 'the backup, as "varve db backups" names it')
    .addOption(fromOption())
    .option('--verify', 'restore into a scratch database, compare everything, drop it again')
    .option('--at <instant>', 'the last backup at or before this: a date or an ISO instant')
    .option('--into <dir>', 'data directory to make; with a database server configured, its lake goes there')
    .option('--same-lake', 'the lake may hold files: only when the store it belongs to is gone')
    .option('--config-into <dir>', 'folder to put the configuration into')
    .addHelpText(
      'after',
      `
Examples:
  varve db restore --verify 20260110T020000Z-1f2e3d4c
  varve db restore 20260110T020000Z-1f2e3d4c --into .varve-restored
  varve db restore --at 2026-01-10 --into .varve-restored`,
    )
    .action(async (id: string | undefined, options) => (await load()).restore(id, options))
}

function addConfigCommands(program: Command): void {
  const config = program.command('config').description('look after the configuration')
  const load = () => import('./commands/config.ts')

  command(config, 'check', 'report every fault of every file, with line and column')
    .addHelpText('after', '\nExamples:\n  varve config check\n  varve config check --environment production')
    .action(async (options: GlobalOptions) => (await load()).check(options))
  command(config, 'show', 'what is in force, secrets redacted')
    .argument('[prefix]', 'only settings at or below this key')
    .option('--flat', 'one setting a line')
    .option('--origin', 'one setting a line, with who set it')
    .addHelpText('after', '\nExamples:\n  varve config show storage\n  varve config show --origin')
    .action(async (prefix: string | undefined, options) => (await load()).show(prefix, options))
  command(
    config,
    'explain',
    'value, origin, what it overrode, type, range, default and meaning of one setting',
  )
    .argument('<key>', 'such as storage.hot.batchSize')
    .addHelpText('after', '\nExample:\n  varve config explain storage.hot.batchSize')
    .action(async (key: string, options: GlobalOptions) => (await load()).explain(key, options))
  command(
    config,
    'set',
    'change one setting in its file, if everything stays valid; keeps comments, makes a backup',
  )
    .argument('<key>', 'such as storage.hot.batchSize')
    .argument('<value>', 'as it stands in a file: 2000, info, [1d, 1h], ${NAME}')
    .addHelpText('after', '\nExample:\n  varve config set storage.hot.batchSize 2000')
    .action(async (key: string, value: string, options) => (await load()).set(key, value, options))
  command(config, 'versions', 'backups of the files, oldest first')
    .addHelpText('after', '\nExample:\n  varve config versions')
    .action(async (options: GlobalOptions) => (await load()).versions(options))
  command(config, 'rollback', 'put the files of a backup back; the present ones become a backup')
    .argument('<version>', 'number of the backup')
    .addHelpText('after', '\nExample:\n  varve config rollback 3')
    .action(async (version: string, options: GlobalOptions) => (await load()).rollback(version, options))
  command(config, 'export', 'write all files with checksums into one document')
    .argument('<file>', 'where to write it')
    .addHelpText('after', '\nExample:\n  varve config export config-2026-11-21.json')
    .action(async (file: string, options: GlobalOptions) => (await load()).exportTo(file, options))
  command(config, 'migrate', 'rewrite files of an older form; nothing is written unless the result is valid')
    .option('--dry-run', 'only show what would change')
    .addHelpText('after', '\nExamples:\n  varve config migrate --dry-run\n  varve config migrate')
    .action(async (options) => (await load()).migrate(options))
  command(config, 'schema', 'JSON Schema of the files, for editors')
    .argument('[section]', 'one file, such as storage')
    .option('--write', 'write them into .schema, where the files point editors to')
    .addHelpText('after', '\nExamples:\n  varve config schema storage\n  varve config schema --write')
    .action(async (section: string | undefined, options) => (await load()).schema(section, options))
}
